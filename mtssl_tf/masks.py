"""Motion masks of every clip below a folder, from the raw video alone.

    python -m mtssl_tf.masks --videos=DIR --out=DIR

writes, for each clip and each frame whose motion can be known,
    OUT/<clip>/<frame>.png              of the frame's size, 0 or 255
    OUT/_label_maps/<clip>/<frame>.png  a factor of 8 smaller, 0 or 255
and OUT/manifest.json: what was found, and why frames have no mask. The same
command again goes on where it stopped; a changed clip or setting starts anew.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Iterator, Sequence
import contextlib
import json
import pathlib
import sys
import typing

from absl import flags

from mtssl_tf.distribute import mapping
from mtssl_tf.files import names as names_lib
from mtssl_tf.motion import config as motion_config
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command
from mtssl_tf.process import lock
from mtssl_tf.process import paths
from mtssl_tf.reports import progress as progress_lib

if typing.TYPE_CHECKING:
    from mtssl_tf.motion import job
    from mtssl_tf.process import local_map

NAME = "mtssl_tf.masks"
_FLAGS = flags.FlagValues()

_VIDEOS = command.define_path(
    "videos",
    None,
    "Folder of video files and folders of numbered frames.",
    _FLAGS,
)
_OUT = command.define_path("out", None, "Folder to write to.", _FLAGS)
_METHOD = flags.DEFINE_enum(
    "method",
    motion_config.MotionConfig().method,
    motion_config.METHODS,
    "refined: what measures best; idt: the paper's.",
    flag_values=_FLAGS,
)
_COMPARE = command.define_path(
    "compare",
    None,
    "Folder of true masks, CLIP/FRAME.png: print agreement.",
    _FLAGS,
)
_OVERLAY = flags.DEFINE_bool(
    "overlay",
    False,
    "Also draw a contact sheet and a short video per clip.",
    flag_values=_FLAGS,
)
_SHORT_SIDE = flags.DEFINE_integer(
    "short_side",
    None,
    "Shrink frames to this short side, in px.",
    32,
    flag_values=_FLAGS,
)
_WORKERS = flags.DEFINE_integer(
    "workers",
    None,
    "Clips at a time; default: one per CPU core.",
    1,
    flag_values=_FLAGS,
)
_SPEED = flags.DEFINE_bool(
    "speed",
    False,
    "Also time a bare flow pass: print whole / bare.",
    flag_values=_FLAGS,
)
mapping.define_flags("clips", _FLAGS)


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(NAME, __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    """Checks everything a user can get wrong, then computes all clips."""
    from mtssl_tf.motion import job  # slow; a mistyped flag needs none

    del values  # each flag is read by its holder
    jobs = _jobs_from_flags()
    out = pathlib.Path(_OUT.value)
    with lock.hold(out, command.end_at_lost_lock(NAME)):
        with _mapper() as map_all:
            records = _run_all(jobs, map_all)
        path = out / job.MANIFEST_FILE
        manifest = {"method": _METHOD.value, "clips": records}
        atomic_file.write_text(path, json.dumps(manifest, indent=1) + "\n")
    print(_table(records))
    print(f"Wrote {path}.")
    if not any(record["num_masks"] for record in records):
        raise ValueError(
            f"None of the {len(records)} clips gave a mask; {path} says why."
        )


def _jobs_from_flags() -> list[job.Job]:
    """Returns a job for every clip.

    Raises:
        ValueError, OSError: a flag is missing, or names nothing of use.
    """
    # OpenCV takes a moment to load: not before --help is answered.
    from mtssl_tf.motion import clips
    from mtssl_tf.motion import job

    for flag in (_VIDEOS, _OUT):
        if not flag.value:
            raise ValueError(f"--{flag.name} is missing: name a folder.")
    if _COMPARE.value and not pathlib.Path(_COMPARE.value).is_dir():
        raise FileNotFoundError(f"No folder of true masks at {_COMPARE.value}.")
    if paths.lies_in(_OUT.value, _VIDEOS.value):
        raise ValueError(
            f"--out={_OUT.value} lies in --videos={_VIDEOS.value}: its results "
            "would be taken for clips. Name a folder elsewhere."
        )
    mapping.check_flags(_FLAGS)
    if _FLAGS.cluster and _WORKERS.value:
        raise ValueError(
            f"--workers={_WORKERS.value} is for this machine alone: on a "
            "cluster each CPU has a clip. Leave it out."
        )
    config = motion_config.MotionConfig(method=_METHOD.value)
    return [
        job.Job(
            clip,
            config,
            pathlib.Path(_OUT.value),
            _SHORT_SIDE.value,
            is_overlaid=_OVERLAY.value,
            is_timed=_SPEED.value,
            truth=pathlib.Path(_COMPARE.value) if _COMPARE.value else None,
        )
        for clip in clips.list_clips(_VIDEOS.value)
    ]


@contextlib.contextmanager
def _mapper() -> Iterator[local_map.MapAll]:
    """Gives what spreads clips: over processes here, or over a cluster."""
    if not _FLAGS.cluster:
        from mtssl_tf.process import local_map

        yield lambda function, items: local_map.local_map(
            function, items, _WORKERS.value
        )
        return
    data = [("videos", _VIDEOS.value)]
    out = pathlib.Path(_OUT.value)
    with mapping.over_cluster(_FLAGS, out, data) as map_all:
        yield map_all


def _run_all(jobs: list[job.Job], map_all: local_map.MapAll) -> list[dict]:
    """Does all jobs; says how far it is, and at the end what went wrong."""
    from mtssl_tf.motion import parallel

    progress = progress_lib.ProgressLine(len(jobs), "clips")

    def show(done: int, total: int, record: dict) -> None:
        progress.update(done, _describe(record))

    records = parallel.run_jobs(jobs, map_all, show)
    progress.finish(f"{len(records)}/{len(jobs)} clips")
    for record in records:
        if record["problem"]:
            print(_describe(record), file=sys.stderr)
    return records


def _describe(record: dict) -> str:
    text = (
        f"{names_lib.shown(record['name'])}: {record['num_masks']} masks of "
        f"{record['num_frames']} frames"
    )
    return f"{text} ({record['problem']})" if record["problem"] else text


def _table(records: list[dict]) -> str:
    """Returns the manifest's figures as a Markdown table."""
    names = ["share_moving", "camera_inliers"]
    names += [
        name
        for name in ("J", "precision", "recall", "F", "whole_per_bare")
        if any(name in record["statistics"] for record in records)
    ]
    header = ["clip", "frames", "masks", *names]
    rows = [
        [record["name"], record["num_frames"], record["num_masks"]]
        + [record["statistics"].get(name) for name in names]
        for record in records
    ]
    rows.append(["mean", None, None] + [_mean(records, n) for n in names])
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(_cell(value) for value in line) + " |"
        for line in lines
    )


def _mean(records: list[dict], name: str) -> float | None:
    values = [
        record["statistics"][name]
        for record in records
        if name in record["statistics"]
    ]
    return sum(values) / len(values) if values else None


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    return names_lib.shown(str(value))


if __name__ == "__main__":
    command.end(main(sys.argv))
