"""The model card: what a trunk was made from and how to use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import json
import pathlib
from typing import Any

from mtssl_tf import export_record
from mtssl_tf import pretrained as pretrained_lib
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.formats import registry
from mtssl_tf.frozen import rank
from mtssl_tf.models import families
from mtssl_tf.process import base_names
from mtssl_tf.reports import metrics_log
from mtssl_tf.reports import metrics_record

_CARD = """{head}
# A trunk trained by mtssl_tf

{origin}

| | |
|---|---|
| trunk | {title}, units {units}, width {width} |
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

RGB in 0..255, `[B, H, W, 3]`, any size, uint8 or float32. What the weights
expect, `(rgb - {means}) * {scale}`, is inside of every file.{value_range}

## Output

{end_points}, each float32 `[B, H/{output_stride}, W/{output_stride}, \
{channels}]`: {units_are}.

## Files

Each was loaded again and gave the numbers of the trunk that was trained, up to
the difference named, in parts of the largest feature.

{files}

{uses}
Statistics of the units{embed}: {statistics}.

## How well the tasks are done

{judgement}

## Without labels

{rank}
"""

# Only `trunk.keras` is read by it.
_EMBED = """, which `python -m mtssl_tf.embed --trunk=.` needs for
vectors of pictures"""

_USES = {
    "savedmodel": """```python
import tensorflow as tf

trunk = tf.saved_model.load("saved_model").signatures["uint8"]
features = trunk(image=pictures)["{unit}"]
```
""",
    "keras": """```python
import keras

trunk = keras.saving.load_model("trunk.keras")  # or mtssl_tf.load_trunk(".")
features = trunk(pictures, training=False)["{unit}"]
```
""",
    "onnx": """```python
import onnxruntime

session = onnxruntime.InferenceSession("trunk.onnx")
(features,) = session.run(["{unit}"], {{"image": float_pictures}})
```
""",
    "litert": """```python
from ai_edge_litert.interpreter import Interpreter

run = Interpreter("trunk.tflite").get_signature_runner()
(name,) = run.get_input_details()
features = run(**{{name: float_pictures}})["{unit}"]
```
""",
}


def write_card(
    pretrained: pretrained_lib.Pretrained,
    settings: Mapping[str, Any],
    workdir: pathlib.Path,
    record: export_record.ExportRecord,
    license_id: str,
) -> str:
    """Returns the card's text, behind the head that model hubs read.

    It names data and command without the folders of this machine.

    Args:
        pretrained: the trunk.
        settings: of `config.json`.
        workdir: the run directory.
        record: of the export.
        license_id: of the weights, as hubs abbreviate it.
    """
    config = pretrained.config
    statistics = base_names.in_text(record.statistics, settings)
    settings = base_names.of_settings(settings)
    data = settings["data"]
    names = sorted(pretrained.trunk.output)
    logged = _load_log(workdir)
    lines = _last_judgement(logged)
    return _CARD.format(
        head=_head(settings, lines, license_id),
        files=_file_table(record),
        uses="\n".join(
            _USES[name].format(unit=names[-1]) for name in record.differences
        ),
        embed=_EMBED if "keras" in record.differences else "",
        statistics=statistics,
        origin=_describe_origin(settings),
        title=config.title,
        units=config.units_per_block or len(names),
        units_are=families.find_family(config.family).units_are,
        width=config.width,
        parameters=pretrained.trunk.count_params(),
        output_stride=config.output_stride,
        images=data["images"] or "none",
        videos=data["videos"] or "none",
        held_out=f"{data['held_out_images']:.0%} of the pictures, "
        f"{data['held_out_videos']:.0%} of the clips",
        steps=max((line["step"] for line in lines), default="unknown"),
        command=settings["command"] or "unknown",
        version=settings.get("version", "unknown"),
        digest=pretrained.digest,
        means=list(pretrained.contract.means_rgb),
        scale=pretrained.contract.scale,
        value_range=_describe_range(pretrained.contract.value_range),
        end_points=f"`{names[0]}` to `{names[-1]}`",
        channels=pretrained.trunk.output[names[-1]].shape[-1],
        judgement=_table(lines),
        rank=_describe_rank(logged),
    )


def _describe_range(value_range: value_range_lib.Choice | None) -> str:
    if value_range is None:
        return ""
    if isinstance(value_range, str):
        text = "all that their type can be (0 to 1 of floats) was"
    else:
        text = f"{value_range_lib.shown(value_range)} (black:white) was"
    return (
        " Of training pictures of\nmore than 8 bits a value "
        f"{text} mapped to 0..255;\n`python -m mtssl_tf.embed` and the "
        "evaluations do the same."
    )


def _head(
    settings: Mapping[str, Any],
    lines: Sequence[Mapping[str, Any]],
    license_id: str,
) -> str:
    """Returns the YAML between two lines of dashes."""
    pretext, _ = _by_labels(settings["tasks"])
    entries: dict[str, Any] = {
        "library_name": "keras",
        "pipeline_tag": "image-feature-extraction",
        "license": license_id,
        "tags": [
            *(["self-supervised-learning"] if pretext else []),
            "mtssl_tf",
            *settings["tasks"],
        ],
    }
    metrics = sorted(
        {name for line in lines for name in line.get("metrics", {})}
    )
    if metrics:
        entries["metrics"] = metrics
    # Any JSON is YAML, so nothing needs to be escaped twice.
    text = "".join(f"{k}: {json.dumps(v)}\n" for k, v in entries.items())
    return f"---\n{text}---\n"


def _file_table(record: export_record.ExportRecord) -> str:
    rows = ["| file | largest difference |", "|---|---|"]
    for name, difference in record.differences.items():
        path = registry.FORMATS[name].path
        rows.append(f"| `{path}` | {difference:.1e} |")
    return "\n".join(rows)


def _describe_origin(settings: Mapping[str, Any]) -> str:
    if not settings["tasks"]:
        return "Its weights were imported, not trained here."
    began = settings["train"].get("from_weights")
    pretext, labelled = _by_labels(settings["tasks"])
    paper = 'as in "Multi-task Self-Supervised Visual Learning" (ICCV 2017)'
    parts = []
    if pretext:
        parts.append(f"without labels, {paper}, on: {', '.join(pretext)}")
    if labelled:
        parts.append(f"with labels, on: {', '.join(labelled)}")
    return f"Trained {'; and '.join(parts)}." + (
        f" It began with the trunk of `{began}`." if began else ""
    )


def _by_labels(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Returns the tasks that need no labels, and those that do."""
    kinds: dict[bool, list[str]] = {True: [], False: []}
    for name in names:
        kinds[tasks_lib.find_task(name).is_pretext].append(name)
    return kinds[True], kinds[False]


def _load_log(workdir: pathlib.Path) -> list[dict[str, Any]]:
    """Returns what the run has written down; nothing where it has not."""
    try:
        return metrics_log.load_metrics(workdir)
    except FileNotFoundError:
        return []


def _last_judgement(
    logged: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Returns the last held-out line of each task."""
    held_out = filter(metrics_record.is_judgement, logged)
    return list({line["task"]: line for line in held_out}.values())


def _describe_rank(logged: Sequence[dict[str, Any]]) -> str:
    """Returns a paragraph on the last measurement of the trunk's rank."""
    found = [line for line in logged if line.get("split") == rank.EVENT]
    if not found:
        return "Not measured."
    line = found[-1]
    values = line[rank.EVENT]
    return (
        f"After step {line['step']}, of raw vectors (the last unit, averaged "
        f"over positions) of {values['pictures']} pictures of the run:\n"
        f"effective rank (RankMe, Garrido et al. 2023) "
        f"{_number(values['rankme'])} of at most {values['most']}; spread "
        f"{_number(values['spread'])}, which is 0\nwhere all pictures look "
        f"the same; mean cosine {_number(values['mean_cosine'])}."
    )


def _table(lines: list[dict[str, Any]]) -> str:
    if not lines:
        return "Not measured."
    rows = ["| task | measure | held out | blind guess |", "|---|---|---|---|"]
    for line in lines:
        values = {"loss": line["loss"], **line.get("metrics", {})}
        chance = {"loss": line["chance"], **line.get("metrics_chance", {})}
        for name, value in values.items():
            rows.append(
                f"| {line['task']} | {name} | {_number(value)} | "
                f"{_number(chance.get(name))} |"
            )
    return "\n".join(rows)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
