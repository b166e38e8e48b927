"""What is decided of a run's pictures before it begins.

Without TensorFlow, where the pictures are files: a cluster starts before that.
"""

from __future__ import annotations

import pathlib

from mtssl_tf import config as config_lib
from mtssl_tf.data import choose_range
from mtssl_tf.data import kept_list
from mtssl_tf.data import open_source
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.training import run_directory


def find_value_range(
    workdir: pathlib.Path, config: config_lib.RunConfig
) -> config_lib.RunConfig | None:
    """Returns the settings with the value range that the run began with.

    None where no run has begun there.

    Raises:
        OSError, ValueError: as `load_config`.
    """
    if not (workdir / run_directory.CONFIG_FILE).exists():
        return None
    old = run_directory.load_config(workdir)
    if not old.tasks:  # imported weights
        return None
    is_free = (
        config.contract.value_range is None
        and old.data.value_range == config.data.value_range
    )
    if not is_free:
        return config  # as it is: `prepare` compares
    return config_lib.with_value_range(config, old.contract.value_range)


def choose_value_range(
    config: config_lib.RunConfig, workdir: pathlib.Path
) -> value_range_lib.Range | None:
    """Chooses black and white of deep pictures where a run begins.

    The list of the pictures that it takes is kept for the run.

    Raises:
        FileNotFoundError: there are no pictures.
        ValueError: the source is empty, or none of its deep pictures is of
            use.
    """
    kept = kept_list.KeptLists(workdir / run_directory.LIST_FILE)
    kept.forget()
    pictures = open_source.open_pictures(config.data.images, kept.files_below)
    chosen = choose_range.choose(pictures)
    kept.save()
    return chosen
