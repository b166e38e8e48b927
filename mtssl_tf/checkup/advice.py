"""What a user can change, as flags where there are any."""

from __future__ import annotations

from collections.abc import Mapping

from mtssl_tf.checkup import clip_check
from mtssl_tf.checkup import cost_check
from mtssl_tf.checkup import picture_check

_LARGE_SHARE = 0.5  # ours: of grey or of small pictures, from which it matters
_LONG_HOURS = 24.0  # ours: longer than most wait for a first result


def advise(
    pictures: picture_check.PictureCheck | None,
    clips: clip_check.ClipCheck | None,
    cost: cost_check.Cost | None,
    smallest_sides: Mapping[str, int],
) -> list[str]:
    """Returns sentences, the gravest first.

    Args:
        pictures: what they are like, if any were named.
        clips: what they are like, if any were named.
        cost: of the preset.
        smallest_sides: task on pictures -> short side it asks for, in px.
    """
    lines = []
    if pictures is not None:
        lines += _of_pictures(pictures, smallest_sides)
    if clips is not None:
        lines += _of_clips(clips)
    if cost is not None and cost.hours > _LONG_HOURS:
        lines.append(
            "The preset's steps take over a day here: give --hours=8, say, or "
            "a smaller --preset."
        )
    return lines


def _of_pictures(
    check: picture_check.PictureCheck, smallest_sides: Mapping[str, int]
) -> list[str]:
    usable = len(check.short_sides)
    if not usable:
        return ["No picture can be used: name another folder with --images."]
    lines = []
    if check.unusable:
        lines.append(
            "Remove unusable pictures, or leave them: all are skipped."
        )
    if len(check.grey) > _LARGE_SHARE * usable:
        lines.append(
            "Most pictures are grey: tasks that learn from colour have little "
            "to learn; name the others with --tasks, or give --harmonize."
        )
    small = [
        task
        for task, side in smallest_sides.items()
        if check.num_smaller(side) > _LARGE_SHARE * usable
    ]
    if small:
        lines.append(
            f"Most pictures are scaled up for {', '.join(small)}: use larger "
            "originals, or leave these out of --tasks."
        )
    if check.duplicates:
        lines.append(
            "Keep one picture of each near-duplicate group: copies count "
            "twice, and one may be held out to judge the other."
        )
    return lines


def _of_clips(check: clip_check.ClipCheck) -> list[str]:
    if not check.differences:
        return ["No clip can be used: leave --videos out, or name another."]
    lines = []
    if check.unusable:
        lines.append("Remove unusable clips, or leave them: all are skipped.")
    if check.still:
        lines.append(
            "Look at the clips without motion: if it does not come later, move "
            "them out of --videos."
        )
    return lines
