"""The model card: what a trunk was made from and how to use it."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
from typing import Any

from mtssl_tf import pretrained as pretrained_lib
from mtssl_tf.reports import metrics_log

_CARD = """# A trunk trained by mtssl_tf

{origin}

| | |
|---|---|
| trunk | ResNet-v2 {depth}, units {units}, width {width} |
| parameters | {parameters:,} |
| output stride | {output_stride} |
| pictures | {images} |
| videos | {videos} |
| held out | {held_out} |
| steps | {steps} |
| command | `{command}` |
| version | {version} |
| SHA-256 of the weights | `{digest}` |

## Input

RGB in 0..255, uint8 or float32, `[B, H, W, 3]`, any size. The SavedModel
applies the input contract itself: `(rgb - {means}) * {scale}`. `trunk.keras`
does not: apply it first.

## Output

{end_points}, each float32 `[B, H/{output_stride}, W/{output_stride}, \
{channels}]`: the residual units of block 3, shallowest first. The last one is
the representation. It is a raw sum: put batch norm and ReLU behind it.

```python
import tensorflow as tf

trunk = tf.saved_model.load("saved_model").signatures["uint8"]
features = trunk(image=pictures)["{last_unit}"]
```

Reloaded, the SavedModel differed by {error:.1e} of the largest feature.

## How well the tasks are done

{judgement}
"""


def write_card(
    pretrained: pretrained_lib.Pretrained,
    settings: Mapping[str, Any],
    workdir: pathlib.Path,
    error: float,
) -> str:
    """Returns the card's text.

    Args:
        pretrained: the trunk.
        settings: of `config.json`.
        workdir: the run directory.
        error: what the comparison with the reloaded model found.
    """
    config = pretrained.config
    data = settings["data"]
    names = sorted(pretrained.trunk.output)
    lines = _last_judgement(workdir)
    return _CARD.format(
        origin=_describe_origin(settings),
        depth=config.depth,
        units=config.units_per_block,
        width=config.width,
        parameters=pretrained.trunk.count_params(),
        output_stride=config.output_stride,
        images=data["images"] or "none",
        videos=data["videos"] or "none",
        held_out=f"{data['held_out_images']:.0%} of the pictures, "
        f"{data['held_out_videos']:.0%} of the clips",
        steps=max((line["step"] for line in lines), default="unknown"),
        command=settings.get("command", "unknown"),
        version=settings.get("version", "unknown"),
        digest=pretrained.digest,
        means=list(pretrained.contract.means_rgb),
        scale=pretrained.contract.scale,
        end_points=f"`{names[0]}` to `{names[-1]}`",
        channels=config.unit_channels(3),
        last_unit=names[-1],
        error=error,
        judgement=_table(lines),
    )


def _describe_origin(settings: Mapping[str, Any]) -> str:
    if not settings["tasks"]:
        return "Its weights were imported, not trained here."
    return (
        'Trained without labels, as in "Multi-task Self-Supervised Visual '
        f'Learning" (ICCV 2017), on: {", ".join(settings["tasks"])}.'
    )


def _last_judgement(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the last held-out line of each task."""
    try:
        lines = metrics_log.load_metrics(workdir)
    except FileNotFoundError:
        return []
    held_out = [line for line in lines if line.get("split") == "held_out"]
    return list({line["task"]: line for line in held_out}.values())


def _table(lines: list[dict[str, Any]]) -> str:
    if not lines:
        return "Not measured."
    rows = ["| task | measure | held out | blind guess |", "|---|---|---|---|"]
    for line in lines:
        values = {"loss": line["loss"], **line["metrics"]}
        chance = {"loss": line["chance"], **line["metrics_chance"]}
        for name, value in values.items():
            rows.append(
                f"| {line['task']} | {name} | {_number(value)} | "
                f"{_number(chance.get(name))} |"
            )
    return "\n".join(rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
