"""What is found out before anything runs, and not after all trainings."""

from __future__ import annotations

from collections.abc import Sequence
import copy
import dataclasses
import os
import types

from absl import flags

from mtssl_tf.process import paths
from tools.reproduction import plan as plan_lib
from tools.reproduction import tables as tables_lib


def check_passed_on(options: plan_lib.Options) -> None:
    """Raises ValueError for a flag that the command it is for does not take.

    Its commands would be found out once all trunks are trained.
    """
    from mtssl_tf import train_flags  # no help waits for it

    commands = {"train": copy.deepcopy(train_flags.FLAGS)} | {
        kind: module.define_flags()
        for kind, module in _evaluation_modules().items()
    }
    for kind, known in commands.items():
        given = options.flags.get(kind, ())
        try:
            known(["", *given])
        except flags.Error as error:
            text = " ".join(f"--{kind}_flag={each}" for each in given)
            raise ValueError(f"{text}: {error}") from error


def _evaluation_modules() -> dict[str, types.ModuleType]:
    # No help waits for these.
    from evaluation import imagenet_linear
    from evaluation import nyu_depth
    from evaluation import voc_detection

    return {
        tables_lib.LINEAR: imagenet_linear,
        tables_lib.DETECTION: voc_detection,
        tables_lib.DEPTH: nyu_depth,
    }


def check_data(
    evaluations: Sequence[plan_lib.Evaluation],
    sources: plan_lib.Sources,
    options: plan_lib.Options,
) -> None:
    """Raises ValueError or OSError where data that were named cannot be had.

    Evaluations would find it out, each after its training.
    """
    for name, source in dataclasses.asdict(sources).items():
        for folder in paths.local_folders(source):
            if not os.path.isdir(folder):
                raise FileNotFoundError(
                    f"--{name}={source}: there is no folder {folder}. Name "
                    "another, or leave the flag out: what needs it is then "
                    "marked missing."
                )
    if options.costs and not os.path.isfile(options.costs):
        raise FileNotFoundError(
            f"--costs={options.costs} is no file. Name another, or leave "
            "it out: seconds per step are then measured first."
        )
    first = {each.kind: each for each in reversed(evaluations)}
    for kind, module in _evaluation_modules().items():
        if kind not in first:
            continue
        # At its run's end, since there is no snapshot yet to name.
        each = dataclasses.replace(first[kind], snapshot=None)
        command = plan_lib.evaluation_command(each, sources, options)
        values = module.define_flags()
        values(command[2:])  # after python -m
        try:
            module.open_data(values)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"For {kind}: {str(error).strip()} Flags of its command are "
                f"passed on by --{kind}_flag; data that are not given leave "
                "cells missing."
            ) from error
