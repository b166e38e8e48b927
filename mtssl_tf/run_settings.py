"""From what a command or a call asks for to the settings of a run.

Imports no TensorFlow: mistakes are told before it is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any

from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf import config_checks
from mtssl_tf import recipes
from mtssl_tf import tasks as tasks_lib
from mtssl_tf import weighting as weighting_lib
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.process import paths
from mtssl_tf.training import cost_table

_MAX_HOURS = 1e9  # ours: a hundred thousand years


def tell_left_out(config: config_lib.RunConfig, recipe: str) -> None:
    """Says which of a recipe's usual tasks there is no data for."""
    for name in recipes.default_tasks(recipe):
        if name not in config.tasks:
            source = tasks_lib.find_task(name).source
            logging.info("Without --%s, %s is left out.", source, name)


def build_config(
    tasks: Sequence[str] | None,
    preset: str,
    *,
    recipe: str = recipes.OURS,
    images: str,
    videos: str,
    value_range: str = value_range_lib.AUTO,
    harmonize: bool = False,
    steps: int | None = None,
    hours: float | None = None,
    gpu_hours: float | None = None,
    train: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
) -> config_lib.RunConfig:
    """Returns the settings of a run.

    Args:
        tasks: as `mtssl_tf.pretrain` takes them, as are the next ones.
        preset: scale.
        recipe: whose method.
        images: source.
        videos: source.
        value_range: of deep pictures.
        harmonize: whether inputs are harmonized.
        steps: in all, or None.
        hours: to train for in place of steps, or None.
        gpu_hours: to train for in place of either, or None.
        train: further ones of `TrainConfig`, by name.
        assignments: 'section.key=value' each, after all else.

    Raises:
        ValueError: something is unknown or does not fit together.
    """
    _check_length(steps, hours, gpu_hours)
    if tasks is None:
        tasks = _tasks_with_data(recipe, images, videos)
    config = config_lib.preset_config(preset, tasks)
    if harmonize:
        config = config_lib.harmonize(config)
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(
            config.data, images=images, videos=videos, value_range=value_range
        ),
        train=dataclasses.replace(
            config.train,
            steps=config.train.steps if steps is None else steps,
            hours=hours or 0.0,
            **(train or {}),
        ),
    )
    config = config_lib.override(
        config, *recipes.assignments(recipe, tasks), *assignments
    )
    config = _with_paths_in_full(config)
    if gpu_hours is not None:
        config = _buy_steps(config, gpu_hours)
    config_checks.check(config)
    return config


def _tasks_with_data(recipe: str, images: str, videos: str) -> list[str]:
    """Returns those of a recipe's usual tasks whose source is named.

    They are all of them where neither is, as on the sample set.
    """
    named = {"images": images, "videos": videos}
    return [
        name
        for name in recipes.default_tasks(recipe)
        if named[tasks_lib.find_task(name).source] or not any(named.values())
    ]


def _with_paths_in_full(config: config_lib.RunConfig) -> config_lib.RunConfig:
    """Replaces `~`, however the paths were set."""
    data, train = config.data, config.train
    return dataclasses.replace(
        config,
        data=dataclasses.replace(
            data,
            images=paths.join(paths.split(data.images)),
            videos=paths.expand(data.videos),
        ),
        train=dataclasses.replace(
            train,
            costs=paths.expand(train.costs),
            probe=paths.expand(train.probe),
            from_weights=paths.expand(train.from_weights),
        ),
    )


def _check_length(
    steps: int | None, hours: float | None, gpu_hours: float | None
) -> None:
    """Raises ValueError where it is not one way to say how long to train."""
    for name, value in (("hours", hours), ("gpu_hours", gpu_hours)):
        if value is not None and not 0 < value <= _MAX_HOURS:
            raise ValueError(
                f"--{name}={value} must be over 0 and up to {_MAX_HOURS:g}, as "
                "0.5 or 8."
            )
    given = [
        f"--{name}={value}"
        for name, value in (
            ("steps", steps),
            ("hours", hours),
            ("gpu_hours", gpu_hours),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise ValueError(
            f"{' and '.join(given)} all say how long to train. Give one of "
            "them."
        )


def _buy_steps(
    config: config_lib.RunConfig, gpu_hours: float
) -> config_lib.RunConfig:
    """Returns the settings with the steps that so many GPU hours buy."""
    if not config.train.costs:
        raise ValueError(
            f"--gpu_hours={gpu_hours:g} needs --costs=FILE, a table of seconds "
            "per step. Measure it: the same command with --calibrate too."
        )
    weighting = config.train.weighting
    if weighting != weighting_lib.FIXED:
        raise ValueError(
            f"--gpu_hours={gpu_hours:g} has to know how many steps of each "
            f"task there will be, which --weighting={weighting} decides as it "
            "goes. Give --steps or --hours."
        )
    prices = cost_table.load(pathlib.Path(config.train.costs), config)
    weights = {name: task.weight for name, task in config.tasks.items()}
    steps = prices.steps_for(gpu_hours, weights)
    return config_lib.override(config, f"train.steps={steps}")


def check_paths(config: config_lib.RunConfig) -> None:
    """Finds missing folders before TensorFlow is imported.

    Raises:
        ValueError: a task's source is not named.
        FileNotFoundError: a folder is not there.
    """
    named = {"images": config.data.images, "videos": config.data.videos}
    if not any(named.values()) or named["videos"]:
        _check_cache(config.data.cache_dir)
    if named["videos"] and os.path.isdir(named["videos"]):
        _check_cache_apart(config.data.cache_dir, named["videos"])
    _check_folders("probe", paths.local_folders(config.train.probe))
    if not any(named.values()):
        return  # The sample set.
    for kind in sorted(config.sources()):
        path = named[kind]
        if not path:
            raise ValueError(
                f"The tasks {', '.join(config.tasks)} need --{kind}. Name a "
                "folder, or choose --tasks that do without."
            )
        folders = paths.local_folders(path) if kind == "images" else [path]
        _check_folders(kind, folders)


def _check_folders(flag: str, folders: Sequence[str]) -> None:
    """Raises FileNotFoundError where one of a flag's is not there."""
    for folder in folders:
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"--{flag}={folder} is no folder that can be read."
            )


def _check_cache_apart(folder: str, videos: str) -> None:
    """Raises ValueError where labelled frames would be taken for clips."""
    cache = os.path.realpath(paths.expand(folder))
    if not paths.lies_in(cache, videos):
        return
    inner = os.path.relpath(cache, os.path.realpath(videos))
    # What is hidden is no clip.
    if not any(part.startswith(".") for part in inner.split(os.sep)[:-1]):
        raise ValueError(
            f"data.cache_dir={folder} lies in --videos={videos}: its frames "
            "would be taken for clips. Name a folder elsewhere."
        )


def _check_cache(folder: str) -> None:
    """Checks that labels and the sample set can be kept somewhere.

    Raises:
        OSError: they cannot; names the setting.
    """
    remedy = "Name another folder: --set data.cache_dir=DIR."
    if not folder:
        raise ValueError(
            "data.cache_dir is empty (a variable that is not set?): labels "
            f"would go into the current folder. {remedy}"
        )
    try:
        path = pathlib.Path(paths.expand(folder)).absolute()
    except ValueError as error:
        raise ValueError(f"data.cache_dir: {error} {remedy}") from error
    # The first part of it that is there decides.
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise OSError(
            f"data.cache_dir={folder} cannot be written: {path} is no folder "
            f"that you may write to. {remedy}"
        )


def use_sample_set(config: config_lib.RunConfig) -> config_lib.RunConfig:
    """Fills in the built-in sample set where no data was named."""
    if config.data.images or config.data.videos:
        return config
    from mtssl_tf.data import sample_set

    logging.info("No --images and no --videos: using the sample set.")
    samples = sample_set.build_sample_set(config.data.cache_dir)
    return dataclasses.replace(
        config,
        data=dataclasses.replace(
            config.data,
            images=str(samples.images),
            videos=str(samples.videos),
        ),
    )
