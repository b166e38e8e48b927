"""What of your data can be trained on, what not and why, and at what cost.

    python -m mtssl_tf.doctor --images=DIR --videos=DIR

reads it as training does and trains nothing. --share=0.1 looks at a tenth.
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
import typing

from absl import flags
from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf import pretraining
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.checkup import sample
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command

if typing.TYPE_CHECKING:
    from mtssl_tf.checkup import report as report_lib

NAME = "mtssl_tf.doctor"
_FLAGS = flags.FlagValues()

_IMAGES = command.define_path(
    "images",
    "",
    "Pictures: a folder, searched recursively, tfds:NAME:SPLIT, or "
    "tfrecord:GLOB.",
    _FLAGS,
)
_VIDEOS = command.define_path(
    "videos",
    "",
    "A folder of video files and of folders of numbered frames.",
    _FLAGS,
)
_PRESET = flags.DEFINE_enum(
    "preset",
    "tiny",
    list(config_lib.PRESETS),
    "Scale of trunk and training that is asked about.",
    flag_values=_FLAGS,
)
_SHARE = flags.DEFINE_float(
    "share",
    1.0,
    "Share of pictures and clips to look at, over 0 and up to 1.",
    flag_values=_FLAGS,
)
_JSON = command.define_path(
    "json", "", "File to write the whole report to.", _FLAGS
)


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(NAME, __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    """Checks everything a user can get wrong, then looks at the data."""
    del values  # each flag is read by its holder
    sample.check_share(_SHARE.value)
    if not _IMAGES.value and not _VIDEOS.value:
        raise ValueError(
            "Neither --images nor --videos is given: name a folder."
        )
    if _JSON.value and os.path.isdir(_JSON.value):
        raise ValueError(f"--json={_JSON.value} is a folder: name a file.")
    config = _config()
    pretraining.check_paths(config)
    report = _look(config)
    print(report.text())
    if _JSON.value:
        text = json.dumps(report.to_json(), indent=1)
        atomic_file.write_text(pathlib.Path(_JSON.value), text + "\n")
        print(f"Wrote {_JSON.value}.")


def _config() -> config_lib.RunConfig:
    """Returns the settings of a run on what is named."""
    named = {"images": _IMAGES.value, "videos": _VIDEOS.value}
    return pretraining.build_config(
        [
            name
            for name in pretraining.pretext_tasks()
            if named[tasks_lib.TASKS[name].source]
        ],
        _PRESET.value,
        images=_IMAGES.value,
        videos=_VIDEOS.value,
        lasso=False,
        harmonize=False,
        steps=None,
        precision="float32",
        probe="",
    )


def _look(config: config_lib.RunConfig) -> report_lib.Report:
    """Opens all sources before it reads any, and then everything."""
    from mtssl_tf.checkup import clip_check
    from mtssl_tf.checkup import picture_check
    from mtssl_tf.checkup import report as report_lib
    from mtssl_tf.data import open_source
    from mtssl_tf.motion import clips as clips_lib

    source = films = pictures = clips = None
    if config.data.images:
        source = open_source.open_pictures(config.data.images)
    if config.data.videos:
        films = clips_lib.list_clips(config.data.videos)
    logging.set_verbosity(logging.ERROR)  # the report names what is skipped
    if source is not None:
        pictures = picture_check.check_pictures(source, _SHARE.value)
    if films is not None:
        clips = clip_check.check_clips(films, _SHARE.value)
    cost = None
    if (pictures and pictures.short_sides) or (clips and clips.differences):
        from mtssl_tf.checkup import cost_check

        cost = cost_check.estimate(config)
    return report_lib.Report(
        _PRESET.value, pictures, clips, _smallest_sides(config), cost
    )


def _smallest_sides(config: config_lib.RunConfig) -> dict[str, int]:
    """Returns the short side that each task on pictures asks for, in px."""
    sides = {}
    for name, options in config.tasks.items():
        task = tasks_lib.find_task(name)(options, config.contract)
        if task.source == "images" and task.smallest_side_px is not None:
            sides[name] = task.smallest_side_px
    return sides


if __name__ == "__main__":
    command.end(main(sys.argv))
