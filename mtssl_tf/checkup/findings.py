"""All that was found, as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf.checkup import advice as advice_lib
from mtssl_tf.checkup import clip_facts as clip_facts_lib
from mtssl_tf.checkup import pace as pace_lib
from mtssl_tf.checkup import picture_facts as picture_facts_lib
from mtssl_tf.files import names as names_lib
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.reports import words

_MAX_LISTED = 8  # ours: of each kind, on the terminal; JSON has all
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


@dataclasses.dataclass(frozen=True)
class Findings:
    """What a checkup found.

    Attributes:
        config: the settings that it is for.
        machine: what is computed on, in words.
        pictures: if there are any.
        clips: if there are any.
        paces: task -> its pace; empty where no step could be taken.
        no_pace: '' or why none could.
        advice: what to change.
        notes: what training settles by itself.
    """

    config: config_lib.RunConfig
    machine: str
    pictures: picture_facts_lib.PictureFacts | None
    clips: clip_facts_lib.ClipFacts | None
    paces: Mapping[str, pace_lib.TaskPace]
    no_pace: str
    advice: Sequence[str]
    notes: Sequence[str]

    def hours(self) -> float:
        """Returns those of the whole training."""
        return advice_lib.hours_of(
            self.config,
            {name: each.step_s for name, each in self.paces.items()},
        )


def as_text(found: Findings) -> str:
    """Returns some lines for a terminal."""
    lines = []
    if found.pictures is not None:
        lines += _picture_lines(found.config, found.pictures)
    if found.clips is not None:
        lines += ["", *_clip_lines(found.clips)]
    lines += ["", *_cost_lines(found), ""]
    if found.notes:
        lines += ["What training does by itself"]
        lines += [*(f"  {text}" for text in found.notes), ""]
    lines += ["What to change"]
    numbered = [f"{n}. {text}" for n, text in enumerate(found.advice, 1)]
    lines += [f"  {line}" for line in numbered or ["Nothing."]]
    return "\n".join(lines).lstrip("\n")


def _picture_lines(
    config: config_lib.RunConfig, facts: picture_facts_lib.PictureFacts
) -> list[str]:
    num_usable = len(facts.names)
    lines = [
        f"Pictures in {facts.source.description}: "
        + _how_many(facts.num_seen, len(facts.source)),
        f"  usable {num_usable:,}, not usable {len(facts.unusable):,}",
        *_listed([f"{name}: {why}" for name, why in facts.unusable]),
    ]
    if facts.left_out:
        lines.append(f"  left out {len(facts.left_out):,}")
        lines += _listed(
            [f"{names_lib.shown(p)}: {why}" for p, why in facts.left_out]
        )
    if facts.other_endings:
        endings = [f"{e} {n:,}" for e, n in facts.other_endings.items()]
        lines.append(f"  not read, by ending: {names_lib.some(endings)}")
    value_range = _value_range(facts)
    if value_range is not None:
        lines.append(
            "  black and white of what has more than 8 bits: "
            f"--value_range={value_range}"
        )
    if num_usable:
        lines.append(f"  short side, px: {_quantiles(facts.short_sides)}")
        for name, side in config.needed_sides("images").items():
            share = advice_lib.too_small(facts, side)
            lines.append(f"  under the {side} px of {name}: {share:.1%}")
        lines.append(f"  grey: {facts.is_grey.mean():.1%}")
        lines.append(
            "  nearly the same: "
            + words.counted(sum(map(len, facts.groups)), "picture")
            + f" in {words.counted(len(facts.groups), 'group')}"
        )
        lines += _listed([names_lib.some(group) for group in facts.groups])
    return lines


def _value_range(facts: picture_facts_lib.PictureFacts) -> str | None:
    found = facts.source.value_range
    return value_range_lib.shown(found) if isinstance(found, tuple) else found


def _clip_lines(facts: clip_facts_lib.ClipFacts) -> list[str]:
    unusable = [each for each in facts.looks if each.problem]
    still = [each.name for each in facts.looks if each.is_still]
    lines = [
        f"Clips: {_how_many(len(facts.looks), facts.num_found)}",
        f"  usable {len(facts.usable):,}, not usable {len(unusable):,}",
        *_listed([f"{each.name}: {each.problem}" for each in unusable]),
    ]
    if facts.usable:
        counts = np.array([each.num_frames for each in facts.usable])
        sides = np.array([min(each.size or (0,)) for each in facts.usable])
        lines.append(f"  frames: {_quantiles(counts)}; {counts.sum():,} in all")
        lines.append(f"  short side, px: {_quantiles(sides)}")
    lines.append(f"  without motion: {len(still):,}")
    return [*lines, *_listed(still)]


def _cost_lines(found: Findings) -> list[str]:
    steps = found.config.train.steps
    lines = [f"Training with preset {found.config.preset} on {found.machine}"]
    if found.no_pace:
        return [*lines, f"  no step could be timed: {found.no_pace}"]
    lines.append(
        f"  {'one step of':22}{'views':>18}{'GFLOP':>10}{'MiB':>9}"
        f"{'seconds':>9}"
    )
    for name, each in found.paces.items():
        lines.append(
            f"  {name:22}{each.cost.views:>18}{each.cost.flops / 1e9:>10,.1f}"
            f"{each.cost.num_bytes / 2**20:>9,.0f}{each.step_s:>9.3f}  "
            f"{each.basis}"
        )
    lines.append(
        f"  {steps:,} steps: about {words.duration(found.hours())}, without "
        "labelling clips, checkpoints and judging"
    )
    return lines


def as_json(found: Findings) -> dict[str, Any]:
    """Returns all of it, for `json.dumps`."""
    return {
        "preset": found.config.preset,
        "tasks": list(found.config.tasks),
        "machine": found.machine,
        "pictures": found.pictures and _picture_json(found.pictures),
        "clips": found.clips and _clip_json(found.clips),
        "steps": found.config.train.steps,
        "hours": found.hours() if found.paces else None,
        "paces": {
            name: {**dataclasses.asdict(each.cost), "step_s": each.step_s}
            | {"basis": each.basis}
            for name, each in found.paces.items()
        },
        "no_pace": found.no_pace,
        "advice": list(found.advice),
        "notes": list(found.notes),
    }


def _picture_json(facts: picture_facts_lib.PictureFacts) -> dict[str, Any]:
    grey = [n for n, is_grey in zip(facts.names, facts.is_grey) if is_grey]
    return {
        "source": facts.source.description,
        "num_found": len(facts.source),
        "num_seen": facts.num_seen,
        "num_usable": len(facts.names),
        "value_range": _value_range(facts),
        "unusable": dict(facts.unusable),
        "left_out": {names_lib.shown(p): why for p, why in facts.left_out},
        "other_endings": facts.other_endings,
        "short_side_px": _quantile_json(facts.short_sides)
        if facts.names
        else {},
        "grey": grey,
        "nearly_the_same": [list(group) for group in facts.groups],
        "seconds": facts.seconds,
        "problem": facts.problem,
    }


def _clip_json(facts: clip_facts_lib.ClipFacts) -> dict[str, Any]:
    looks = [dataclasses.asdict(each) for each in facts.looks]
    for each, look in zip(facts.looks, looks):
        if math.isnan(each.difference):
            look["difference"] = None
        look["is_still"] = each.is_still
    return {"num_found": facts.num_found, "looks": looks}


def _how_many(num_seen: int, num_found: int) -> str:
    if num_seen >= num_found:
        return f"{num_found:,}, all looked at"
    return (
        f"{num_found:,}, of which {num_seen:,} were looked at, taken at random "
        "(--share=1 looks at all)"
    )


def _listed(entries: Sequence[str]) -> list[str]:
    lines = [f"    {entry}" for entry in entries[:_MAX_LISTED]]
    more = len(entries) - _MAX_LISTED
    return [*lines, f"    and {more:,} more"] if more > 0 else lines


def _quantile_json(values: np.ndarray) -> dict[str, float]:
    return {f"{q:g}": float(np.quantile(values, q)) for q in _QUANTILES}


def _quantiles(values: np.ndarray) -> str:
    smallest, low, middle, high, largest = np.quantile(values, _QUANTILES)
    return (
        f"{smallest:,.0f} to {largest:,.0f}, median {middle:,.0f}, 90 % of "
        f"them {low:,.0f} to {high:,.0f}"
    )
