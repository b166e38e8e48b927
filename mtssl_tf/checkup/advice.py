"""What to change, from what was found: each a sentence with what to type.

What training settles by itself is no advice: `notes` has it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.checkup import clip_facts as clip_facts_lib
from mtssl_tf.checkup import picture_facts as picture_facts_lib
from mtssl_tf.files import names as names_lib
from mtssl_tf.reports import words

# ours: of the pictures, that are too small for a task before it is advised.
_MANY = 0.25
_SMALL_QUANTILE = 0.1  # ours: of the sides, which a setting is lowered to
_LONG_H = 48.0  # ours: hours of training after which a smaller one is advised
# Formats that cameras and phones write, and nothing here reads.
_CAMERA_ENDINGS = (".heic", ".heif", ".cr2", ".nef", ".dng", ".arw")


def on_pictures(
    config: config_lib.RunConfig, facts: picture_facts_lib.PictureFacts
) -> list[str]:
    """Returns what to change about pictures, and settings for them."""
    return [
        *_on_files(facts),
        *_on_small(config, facts),
        *_on_grey(config, facts),
        *_on_groups(facts),
    ]


def _on_files(facts: picture_facts_lib.PictureFacts) -> Iterator[str]:
    if facts.problem:
        yield (
            f"Training would stop at these pictures: {facts.problem} Remove "
            "or mend those that cannot be used."
        )
    camera = {
        ending: count
        for ending, count in facts.other_endings.items()
        if ending in _CAMERA_ENDINGS
    }
    if camera:
        listed = ", ".join(f"{n} {ending}" for ending, n in camera.items())
        yield f"Convert to JPEG what is not read: {listed}."


def _on_small(
    config: config_lib.RunConfig, facts: picture_facts_lib.PictureFacts
) -> Iterator[str]:
    for name, side in config.needed_sides("images").items():
        share = too_small(facts, side)
        if share < _MANY:
            continue
        remedies = [*_lower_setting(config, name, facts)]
        remedies += [
            f"--preset={preset}"
            for preset in config_lib.PRESETS
            if preset != config.preset
            and _needs(config, name, preset) < side
            and too_small(facts, _needs(config, name, preset)) < _MANY
        ][:1]
        yield (
            f"{share:.0%} of the pictures have a short side under the {side} "
            f"px of {name}, and are enlarged: blurred, they teach less. "
            + (
                f"What helps: {' or '.join(remedies)}, or larger pictures."
                if remedies
                else "Larger pictures would help."
            )
        )


def _lower_setting(
    config: config_lib.RunConfig,
    name: str,
    facts: picture_facts_lib.PictureFacts,
) -> Iterator[str]:
    """Yields `--set` with a side that most pictures have, if it is allowed."""
    setting = tasks_lib.find_task(name).side_setting
    side = int(np.quantile(facts.short_sides, _SMALL_QUANTILE))
    assignment = f"{name}.{setting}={side}"
    try:
        config_lib.override(config, assignment)
    except ValueError:  # views of this size cannot be cut from it
        return
    yield f"--set {assignment}"


def too_small(facts: picture_facts_lib.PictureFacts, side_px: int) -> float:
    """Returns which share of the usable pictures is under a short side."""
    if not len(facts.sizes):
        return 0.0
    return float((facts.short_sides < side_px).mean())


def _needs(config: config_lib.RunConfig, name: str, preset: str) -> int:
    task = tasks_lib.find_task(name)
    return task(task.presets[preset], config.contract).smallest_side_px or 0


def _on_grey(
    config: config_lib.RunConfig, facts: picture_facts_lib.PictureFacts
) -> Iterator[str]:
    learners = [
        name
        for name in config.tasks
        if tasks_lib.find_task(name).learns_from_color
    ]
    if not learners or not facts.is_grey.any():
        return
    share = facts.is_grey.mean()
    if share == 1.0:
        yield (
            f"All pictures are grey, from which {', '.join(learners)} cannot "
            f"learn. {_leave_out(config, learners)}"
        )
    elif share >= _MANY:
        yield (
            f"{share:.0%} of the pictures are grey and teach "
            f"{', '.join(learners)} nothing: it learns more slowly. Leave grey "
            f"ones out, or {_leave_out(config, learners, 'train without it')}"
        )


def _leave_out(
    config: config_lib.RunConfig, names: list[str], verb: str = "Train without"
) -> str:
    rest = [name for name in config.tasks if name not in names]
    if not rest:
        return "No other task is left: other data is needed."
    return f"{verb}: --tasks={','.join(rest)}."


def _on_groups(facts: picture_facts_lib.PictureFacts) -> Iterator[str]:
    if not facts.groups:
        return
    more = sum(len(group) - 1 for group in facts.groups)
    groups = words.counted(len(facts.groups), "group")
    yield (
        f"{words.counted(more, 'picture')} of {groups} "
        "of nearly the same could go: keep one of each. Where one is trained "
        "on and another is held out, what is measured looks better than it is."
    )


def on_clips(
    config: config_lib.RunConfig, facts: clip_facts_lib.ClipFacts
) -> list[str]:
    """Returns what to change about clips."""
    learners = [
        name
        for name in config.tasks
        if tasks_lib.find_task(name).source == "videos"
    ]
    still = [each.name for each in facts.looks if each.is_still]
    unusable = [each.name for each in facts.looks if each.problem]
    if len(still) + len(unusable) == len(facts.looks):
        return [
            "No clip that was looked at is usable and has something moving. "
            + _leave_out(config, learners)
        ]
    if not still:
        return []
    return [
        f"In {words.counted(len(still), 'clip')} nothing moves: "
        f"{names_lib.some(still)}. There is nothing to learn: remove them."
    ]


def notes(
    config: config_lib.RunConfig,
    pictures: picture_facts_lib.PictureFacts | None,
    clips: clip_facts_lib.ClipFacts | None,
    wanted: list[str],
) -> list[str]:
    """Returns what training does by itself about what was found.

    Args:
        config: the settings.
        pictures: what was found of them.
        clips: likewise.
        wanted: tasks that are usual and have no data.
    """
    unusable = []
    if pictures is not None and pictures.unusable and not pictures.problem:
        unusable.append(words.counted(len(pictures.unusable), "picture"))
    if clips is not None and 0 < len(clips.usable) < len(clips.looks):
        count = len(clips.looks) - len(clips.usable)
        unusable.append(words.counted(count, "clip"))
    found = [
        f"{each} cannot be used: training takes others in their place."
        for each in unusable
    ]
    without: dict[str, list[str]] = {}
    for name in wanted:
        if name not in config.tasks:
            source = tasks_lib.find_task(name).source
            without.setdefault(source, []).append(name)
    return found + [
        f"Without --{source} training leaves out {', '.join(names)}."
        for source, names in without.items()
    ]


def on_cost(
    config: config_lib.RunConfig,
    hours: float,
    num_bytes: int,
    free_bytes: int | None,
    remedy: str,
) -> list[str]:
    """Returns what to change about time and memory.

    Args:
        config: the settings.
        hours: of the whole training.
        num_bytes: that the largest step needs.
        free_bytes: that are free; None where that is not known.
        remedy: what makes a step need less.
    """
    advice = []
    if free_bytes is not None and num_bytes > free_bytes:
        advice.append(
            f"A step needs about {num_bytes / 2**30:.1f} GiB, and "
            f"{free_bytes / 2**30:.1f} GiB are free. {remedy}"
        )
    if hours > _LONG_H:
        smaller = _smaller_presets(config)
        advice.append(
            f"Training takes about {hours:,.0f} hours here. What helps: "
            + "".join(f"--preset={preset}, or " for preset in smaller)
            + f"as many steps as time allows (--hours={_LONG_H:.0f}), or a "
            "GPU, or more of them."
        )
    return advice


def _smaller_presets(config: config_lib.RunConfig) -> list[str]:
    known = list(config_lib.PRESETS)  # the smallest first
    if config.preset not in known:
        return []
    return known[: known.index(config.preset)][-1:]


def hours_of(
    config: config_lib.RunConfig, step_s: Mapping[str, float]
) -> float:
    """Returns the hours of all steps, each task with its share of them."""
    total = sum(task.weight for task in config.tasks.values())
    mean_s = sum(
        task.weight / total * step_s[name]
        for name, task in config.tasks.items()
    )
    return config.train.steps * mean_s / 3600
