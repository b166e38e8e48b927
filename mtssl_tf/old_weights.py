"""The trunk of an earlier run as a new run's start: `--from_weights`.

Heads and optimizers are the new run's own. The trunk is put into its folder
of checkpoints as that of step 0, so that a run that has saved a step never
looks at the old weights again: they may be gone by then.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib

from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf import pretrained as pretrained_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.training import checkpoint
from mtssl_tf.training import checkpoint_folder


def load_for(
    config: config_lib.RunConfig, workdir: pathlib.Path
) -> pretrained_lib.Pretrained | None:
    """Returns what `workdir` begins with; None where it needs nothing.

    Raises:
        FileNotFoundError: there are no such weights.
        ValueError: they don't fit the run's trunk; names both.
    """
    source = config.train.from_weights
    if not source or checkpoint_folder.numbers(workdir / checkpoint.FOLDER):
        return None
    loaded = pretrained_lib.load_pretrained(source)
    _check_shapes(source, loaded, config.trunk)
    theirs = loaded.contract
    # Another black and white of deep pictures is a matter of the data.
    same_range = dataclasses.replace(
        theirs, value_range=config.contract.value_range
    )
    if same_range != config.contract:
        means = ",".join(f"{mean:g}" for mean in theirs.means_rgb)
        raise ValueError(
            f"--from_weights={source} expects (rgb - {theirs.means_rgb}) * "
            f"{theirs.scale:g} of pictures, and this run gives (rgb - "
            f"{config.contract.means_rgb}) * {config.contract.scale:g}. Give "
            f"--set contract.means_rgb={means} --set "
            f"contract.scale={theirs.scale!r} too."
        )
    return loaded


def put_into(workdir: pathlib.Path, loaded: pretrained_lib.Pretrained) -> None:
    """Makes a trunk the start of the run that begins in `workdir`.

    Raises:
        OSError: it cannot be written.
    """
    checkpoint.save_imported(workdir, loaded.trunk, None)
    logging.info(
        "Begins with the trunk of %s (SHA-256 %s); heads and optimizers are "
        "new.",
        loaded.source,
        loaded.digest,
    )


def _check_shapes(
    source: str,
    loaded: pretrained_lib.Pretrained,
    wanted: model_config.TrunkConfig,
) -> None:
    """Compares all weights; the stride at which they are read is free."""
    theirs = [(w.path, tuple(w.shape)) for w in loaded.trunk.weights]
    trunk = trunk_lib.build_trunk(wanted)
    ours = [(w.path, tuple(w.shape)) for w in trunk.weights]
    if [shape for _, shape in theirs] == [shape for _, shape in ours]:
        return
    raise ValueError(
        f"--from_weights={source} has a trunk of {_describe(loaded.config)}, "
        f"and this run one of {_describe(wanted)}"
        f"{_first_difference(theirs, ours)}. Choose the --preset, or --set "
        "trunk.family, trunk.depth, trunk.num_units and trunk.width, of the "
        "old one."
    )


def _describe(config: model_config.TrunkConfig) -> str:
    return (
        f"{config.title}, units {config.units_per_block}, width "
        f"{config.width:g}"
    )


def _first_difference(
    theirs: Sequence[tuple[str, tuple]], ours: Sequence[tuple[str, tuple]]
) -> str:
    for (name, their_shape), (_, our_shape) in zip(theirs, ours):
        if their_shape != our_shape:
            return f" ({name} is {their_shape} there, {our_shape} here)"
    return f" ({len(theirs)} weights there, {len(ours)} here)"
