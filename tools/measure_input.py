"""Times the host's part of the input: `python -m tools.measure_input`.

Pictures a second of a task's pipeline, on one core, over those of bare JPEG
decoding and one resize to 224 by 224 of the same pictures (for clips: of
their labelled frames). What changes colours is part of the step and not of
this.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import json
import os
import pathlib
import sys
import tempfile
import time
from typing import Any

from absl import flags
import cv2
import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.files import picture
from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import command
from tools import in_turn

_FLAGS = flags.FlagValues()
flags.DEFINE_multi_enum(
    "preset", ["tiny", "paper"], list(config_lib.PRESETS), "Scales.", _FLAGS
)
flags.DEFINE_integer("rounds", 5, "Turns of each.", 1, flag_values=_FLAGS)
command.define_path(
    "images",
    "",
    "A folder of JPEGs; made from the sample set if absent.",
    _FLAGS,
)
command.define_path("json", "", "File for all that was measured.", _FLAGS)

# ours: of a turn, seconds that are not counted, in which files come into memory
# and buffers are filled, and seconds that are.
_TURN_S = (0.5, 1.5)
# TensorFlow takes seconds to find out that a second thread is of use.
_LONG_TURN_S = (2.0, 3.0)
_BATCH_SIZE = 32
_REFERENCE_PX = 224
# Of the pictures that are made: VOC's most frequent size.
_HEIGHT_PX, _WIDTH_PX = 375, 500
_TWO_THREADS = ("paper", "images")


def measure(
    presets: Sequence[str], images: str, num_rounds: int
) -> dict[str, in_turn.Figure]:
    """Returns `input/PRESET/TASK` and `input/two_threads`, pictures a second.

    Args:
        presets: scales.
        images: a folder of JPEGs, or "".
        num_rounds: turns of each.
    """
    from mtssl_tf.data import sample_set

    # The thread that labels ahead may be at its last part.
    with tempfile.TemporaryDirectory(
        prefix="mtssl-", ignore_cleanup_errors=True
    ) as name:
        folder = pathlib.Path(name)
        samples = sample_set.build_sample_set(folder / "cache")
        if not images:
            images = str(folder / "pictures")
            make_pictures(samples.images, pathlib.Path(images))
        found = {}
        cores = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(cores)})
            for preset in presets:
                for task in recipes.default_tasks():
                    config = _config(preset, task, images, samples, folder)
                    found[f"input/{preset}/{task}"] = _over_bare_decode(
                        config, task, num_rounds
                    )
        finally:
            os.sched_setaffinity(0, cores)
        preset, kind = _TWO_THREADS
        first = next(
            task
            for task in recipes.default_tasks()
            if tasks_lib.TASKS[task].source == kind
        )
        config = _config(preset, first, images, samples, folder)
        found["input/two_threads"] = _two_threads(config, first, num_rounds)
        return found


def make_pictures(tiles: pathlib.Path, folder: pathlib.Path) -> None:
    """Saves the sample set's tiles at the size of usual photographs."""
    folder.mkdir(parents=True)
    for path in sorted(tiles.iterdir()):
        image = picture.decode(path.read_bytes())
        large = cv2.resize(
            image, (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_CUBIC
        )
        picture.save(folder / f"{path.stem}.jpg", large)


def _config(
    preset: str, task: str, images: str, samples: Any, folder: pathlib.Path
) -> config_lib.RunConfig:
    return config_lib.override(
        config_lib.preset_config(preset, [task]),
        f"data.images={images}",
        f"data.videos={samples.videos}",
        f"data.cache_dir={folder / 'cache'}",
        "data.held_out_images=0",
        "data.held_out_videos=0",
    )


def _over_bare_decode(
    config: config_lib.RunConfig, task: str, num_rounds: int
) -> in_turn.Figure:
    from mtssl_tf.training import run

    (split,) = run.open_sources(config).values()
    source: Any = split.training
    try:
        # Clips are labelled by this, and their labels kept.
        _rate(_batches(config, task, source), 1)
        if tasks_lib.TASKS[task].source == "images":
            folder = config.data.images
            files = [os.path.join(folder, name) for name in source.names]
        else:
            cache = pathlib.Path(config.data.cache_dir) / "labelled_clips"
            files = sorted(str(path) for path in cache.rglob("*.jpg"))
        return in_turn.compare(
            lambda: _rate(_batches(config, task, source), 1),
            lambda: _rate(_bare_decode(files), 1),
            num_rounds,
        )
    finally:
        source.close()


def _two_threads(
    config: config_lib.RunConfig, task: str, num_rounds: int
) -> in_turn.Figure:
    """Returns pictures a second of two threads over those of one."""
    from mtssl_tf.training import run

    (split,) = run.open_sources(config).values()

    def rate(num_threads: int) -> float:
        batches = _batches(config, task, split.training)
        return _rate(batches, num_threads, _LONG_TURN_S)

    return in_turn.compare(lambda: rate(2), lambda: rate(1), num_rounds)


def _batches(config: config_lib.RunConfig, task: str, source: Any) -> Any:
    from mtssl_tf.data import skipped
    from mtssl_tf.training import batches

    made = tasks_lib.TASKS[task](config.tasks[task], config.contract)
    return batches.build_batches(
        made, source, config.train.seed, skipped.SkippedExamples()
    )


def _bare_decode(files: Sequence[str]) -> Any:
    """Returns batches of JPEGs that are decoded and resized, no more."""

    def load(position: Any) -> Any:
        contents = tf.io.read_file(tf.gather(files, position % len(files)))
        image = tf.io.decode_jpeg(contents, channels=3)
        return tf.image.resize(image, [_REFERENCE_PX, _REFERENCE_PX])

    return (
        tf.data.Dataset.range(np.iinfo(np.int64).max)
        .map(load, tf.data.AUTOTUNE)
        .batch(_BATCH_SIZE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _rate(
    batches: Any, num_threads: int, times_s: tuple[float, float] = _TURN_S
) -> float:
    """Takes batches for a while.

    Args:
        batches: a dataset that has not been read: one that stands still while
            another has its turn fills its buffers in the other's time.
        num_threads: that make them.
        times_s: seconds that are not counted, and seconds that are.

    Returns:
        Pictures a second.
    """
    options = tf.data.Options()
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    iterator = iter(batches.with_options(options))
    for at_least_s in times_s:
        start = time.perf_counter()
        count, seconds = 0, 0.0
        while seconds < at_least_s:
            batch = next(iterator)
            views = batch["views"] if isinstance(batch, dict) else batch
            count += len(views)
            seconds = time.perf_counter() - start
    return count / seconds


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run("tools.measure_input", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    text = json.dumps(
        measure(values.preset, values.images, values.rounds), indent=1
    )
    print(text)
    if values.json:
        pathlib.Path(values.json).write_text(text + "\n")


if __name__ == "__main__":
    command.end(main(sys.argv))
