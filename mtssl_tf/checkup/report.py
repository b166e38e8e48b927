"""What was found, as text for a terminal and as JSON's types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from mtssl_tf.checkup import advice
from mtssl_tf.checkup import clip_check
from mtssl_tf.checkup import cost_check
from mtssl_tf.checkup import picture_check
from mtssl_tf.files import names

_NUM_SHOWN = 10  # ours: of each list; --json has all


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that was found.

    Attributes:
        preset: that it is for.
        pictures: None if none were named.
        clips: None if none were named.
        smallest_sides: task on pictures -> short side it asks for, in px.
        cost: None where no example can be used.
    """

    preset: str
    pictures: picture_check.PictureCheck | None
    clips: clip_check.ClipCheck | None
    smallest_sides: Mapping[str, int]
    cost: cost_check.Cost | None

    def advice(self) -> list[str]:
        return advice.advise(
            self.pictures, self.clips, self.cost, self.smallest_sides
        )

    def to_json(self) -> dict[str, Any]:
        """Returns all of it, in what JSON has."""
        result = dataclasses.asdict(self)
        if self.pictures is not None:
            result["pictures"]["short_side_quantiles"] = {
                str(share): side
                for share, side in self.pictures.quantiles().items()
            }
            result["pictures"]["too_small"] = self._too_small(self.pictures)
        if self.clips is not None:
            result["clips"]["still"] = self.clips.still
        return {**result, "advice": self.advice()}

    def text(self) -> str:
        """Returns it for a reader."""
        lines = []
        if self.pictures is not None:
            lines += self._describe_pictures(self.pictures)
        if self.clips is not None:
            lines += _describe_clips(self.clips)
        if self.cost is not None:
            lines += _describe_cost(self.preset, self.cost)
        lines += ["What to change", *_listed(self.advice() or ["Nothing."])]
        return "\n".join(lines)

    def _too_small(self, check: picture_check.PictureCheck) -> dict[str, int]:
        return {
            task: check.num_smaller(side)
            for task, side in self.smallest_sides.items()
        }

    def _describe_pictures(
        self, check: picture_check.PictureCheck
    ) -> list[str]:
        usable = len(check.short_sides)
        lines = [
            f"Pictures: {usable:,} usable of {_of(check)}",
            *_listed(_reasons(check.unusable)),
        ]
        if not usable:
            return lines
        sides = "  ".join(
            f"{share}%: {side}" for share, side in check.quantiles().items()
        )
        lines += [f"  short side in px   {sides}", f"  grey: {len(check.grey)}"]
        lines += _listed(check.grey)
        for task, count in self._too_small(check).items():
            lines.append(
                f"  under the {self.smallest_sides[task]} px of {task}, and "
                f"scaled up: {count:,}"
            )
        lines.append(f"  near-duplicates: {len(check.duplicates)} groups")
        return lines + _listed(map(names.some, check.duplicates))


def _describe_clips(check: clip_check.ClipCheck) -> list[str]:
    return [
        f"Clips: {len(check.differences):,} usable of {_of(check)}; of each "
        f"the first {clip_check.NUM_FRAMES} frames",
        *_listed(_reasons(check.unusable)),
        *_listed(_reasons(check.cut_off)),
        f"  without motion in them: {len(check.still)}",
        *_listed(check.still),
    ]


def _describe_cost(preset: str, cost: cost_check.Cost) -> list[str]:
    return [
        f"Cost of --preset={preset}: {cost.steps:,} steps",
        f"  at least {cost.hours:,.2f} hours here: an estimate from the "
        "operations of the",
        "  trunk's convolutions and a timed one's "
        f"{cost.flops_per_second / 1e9:,.0f} GFLOP/s; data come on top",
        f"  at least {cost.num_bytes / 2**20:,.0f} MiB: weights and "
        "activations, counted; buffers come on top",
    ]


def _of(check: picture_check.PictureCheck | clip_check.ClipCheck) -> str:
    if check.looked_at == check.total:
        return f"{check.total:,}"
    return f"{check.looked_at:,} looked at, a sample of {check.total:,}"


def _reasons(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name}: {reason}" for name, reason in pairs]


def _listed(items) -> list[str]:
    items = list(items)
    lines = [f"    {item}" for item in items[:_NUM_SHOWN]]
    if len(items) > _NUM_SHOWN:
        lines.append(f"    and {len(items) - _NUM_SHOWN:,} more (--json=FILE)")
    return lines
