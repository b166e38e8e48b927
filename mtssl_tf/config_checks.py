"""Settings that are right each for itself and not together.

Looked at once all have been typed: the order of `--set` says nothing. Plain
Python, so that a mistake is answered at once.
"""

from __future__ import annotations

from mtssl_tf import config as config_lib
from mtssl_tf import tasks as tasks_lib
from mtssl_tf import weighting as weighting_lib
from mtssl_tf.models import families
from mtssl_tf.models import own_function
from mtssl_tf.reports import tracker


def check(config: config_lib.RunConfig) -> None:
    """Checks all.

    Raises:
        ValueError: names the settings, and what to do.
    """
    _check_trunk(config)
    _check_keep_best(config)
    check_parts(config)
    _check_weighting(config)
    tracker.check(config.train.track)


def check_parts(config: config_lib.RunConfig) -> None:
    """Refuses batches that cannot be computed in `train.accumulate` parts.

    Raises:
        ValueError: names the task and its batch.
    """
    parts = config.train.accumulate
    for name, least in _cannot_be_cut(config, parts).items():
        task = config.tasks[name]
        raise ValueError(
            f"train.accumulate={parts} cuts {name}.batch_size="
            f"{task.batch_size} into parts, which must be whole and have "
            f"at least {least} of its {task.pictures_per_batch} pictures "
            f"each. Choose a divisor, or set {name}.batch_size."
        )


def _cannot_be_cut(config: config_lib.RunConfig, parts: int) -> dict[str, int]:
    """Returns tasks with such batches, and the least pictures of a part."""
    found = {}
    for name, task in config.tasks.items():
        least = 2 if tasks_lib.find_task(name).compares_examples else 1
        pictures = task.pictures_per_batch
        if pictures % parts or pictures < least * parts:
            found[name] = least
    return found


def _check_weighting(config: config_lib.RunConfig) -> None:
    """Refuses shares of what cannot be shared or measured."""
    name = config.train.weighting
    if name == weighting_lib.FIXED:
        return
    if len(config.tasks) < 2:
        raise ValueError(
            f"--weighting={name} shares steps between tasks, and "
            f"{', '.join(config.tasks)} is alone. Name two or more in --tasks, "
            "or leave --weighting out."
        )
    if not weighting_lib.measures_halves(name):
        return
    if config.train.freeze_trunk:
        raise ValueError(
            f"--weighting={name} compares gradients of the trunk, which "
            "train.freeze_trunk=True has none of. Leave one of them out."
        )
    for task, least in _cannot_be_cut(config, 2).items():
        raise ValueError(
            f"--weighting={name} compares two halves of a batch, of at least "
            f"{least} pictures each, and {task} has batches of "
            f"{config.tasks[task].pictures_per_batch}. Set {task}.batch_size."
        )


def _check_trunk(config: config_lib.RunConfig) -> None:
    """Refuses what the family of the trunk does not have."""
    name = config.trunk.family
    family = families.find_family(name)
    for task, options in config.tasks.items():
        if options.output_stride not in family.output_strides:
            raise ValueError(
                f"{task}.output_stride={options.output_stride}: trunk.family="
                f"{name} has {list(family.output_strides)}. Give --set "
                f"{task}.output_stride={max(family.output_strides)}."
            )
    if config.train.remat and not family.is_chain:
        raise ValueError(
            f"--remat needs units that are computed from the one before "
            f"alone; those of trunk.family={name} are not. Leave it out."
        )
    if families.is_own(name):
        own_function.load_function(name)


def _check_keep_best(config: config_lib.RunConfig) -> None:
    """Refuses to keep the best by what is not measured."""
    train = config.train
    missing = {
        "probe": "--probe=FOLDER, a labelled one" if not train.probe else "",
        "rankme": "train.rank_every above 0" if not train.rank_every else "",
        "loss": _missing_held_out(config),
    }.get(train.keep_best)
    if missing:
        raise ValueError(
            f"--keep_best={train.keep_best} needs {missing}. Give it too, or "
            "leave --keep_best out."
        )


def _missing_held_out(config: config_lib.RunConfig) -> str:
    return ", ".join(
        f"data.held_out_{kind} above 0"
        for kind in sorted(config.sources())
        if not getattr(config.data, f"held_out_{kind}")
    )
