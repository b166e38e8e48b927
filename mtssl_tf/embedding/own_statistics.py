"""Statistics of a trunk's units on the pictures that it was trained on."""

from __future__ import annotations

import pathlib
import typing

import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf import pretrained as pretrained_lib
from mtssl_tf.data import open_source
from mtssl_tf.data import pictures as pictures_lib
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.frozen import reading as reading_lib
from mtssl_tf.frozen import statistics as statistics_lib
from mtssl_tf.frozen import view as view_lib
from mtssl_tf.frozen import views
from mtssl_tf.training import run_data
from mtssl_tf.training import run_directory

_BATCH_SIZE = 32  # ours
MIXED_STRIDE = 16  # at 32 units differ in size, and can't be mixed


def measure_on_training_pictures(
    loaded: pretrained_lib.Pretrained,
    workdir: pathlib.Path,
    readings: list[reading_lib.Reading] | None = None,
) -> dict[str, statistics_lib.ChannelStatistics]:
    """Measures on pictures of the run's own source.

    Args:
        loaded: the trunk.
        workdir: of the run, or an export of it: where its settings are.
        readings: units and mixes; None measures all.

    Raises:
        ValueError: the run had none, or none can be used.
        OSError: they are gone.
    """
    config = run_directory.load_config(workdir)
    source = _training_pictures(config, workdir)
    view = view_lib.PRESETS[config.preset]
    return measure(loaded, source, view, readings or all_readings(loaded))


def all_readings(
    loaded: pretrained_lib.Pretrained,
) -> list[reading_lib.Reading]:
    """Returns each unit of a trunk, and each task's mix of them."""
    names = sorted(loaded.trunk.output)
    units = [reading_lib.of_unit(name) for name in names]
    return units + [
        reading_lib.of_mix(task, weights, names)
        for task, weights in loaded.mixes.items()
    ]


def measure(
    loaded: pretrained_lib.Pretrained,
    source: pictures_lib.PictureSource,
    view: view_lib.View,
    readings: list[reading_lib.Reading],
) -> dict[str, statistics_lib.ChannelStatistics]:
    """Measures on up to 256 pictures, spread evenly over a source.

    Args:
        loaded: the trunk.
        source: of the pictures.
        view: how large they are seen; the output stride is 16 at most.
        readings: units and mixes.

    Raises:
        SourceError: a ValueError; none can be used.
    """
    count = min(len(source), statistics_lib.NUM_PICTURES)
    chosen = np.linspace(0, len(source) - 1, count).round().astype(np.int64)
    stride = loaded.config.stride_up_to(min(view.output_stride, MIXED_STRIDE))
    at_stride = pretrained_lib.at_stride(loaded, stride)
    some = source.subset(chosen)
    batches = views.centre_view_batches(
        some,
        view.resize_px,
        view.image_px,
        _BATCH_SIZE,
        skipped_lib.SkippedExamples(),
    )
    return statistics_lib.measure(
        at_stride.trunk,
        at_stride.contract,
        readings,
        source_lib.iterate_once(batches, some),
    )


def _training_pictures(
    config: config_lib.RunConfig, workdir: pathlib.Path
) -> pictures_lib.PictureSource:
    data = config.data
    if not data.images:
        raise ValueError("the run has no --images")
    # Names decide what was held out.
    source = open_source.open_pictures(
        data.images,
        records_in=run_data.records_in(workdir, data.images),
    ).in_range(config.contract.value_range)
    split = source_lib.split_source(source, data.held_out_images)
    return typing.cast(pictures_lib.PictureSource, split.training)
