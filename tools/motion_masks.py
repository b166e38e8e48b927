"""Motion masks of every clip below a folder, from the raw video alone.

    python -m tools.motion_masks --videos=DIR --out=DIR

writes, for each clip and each frame whose motion can be known,
    OUT/<clip>/<frame>.png            full size, 0 or 255
    OUT/_label_maps/<clip>/<frame>.png  a factor of 8 smaller, 0 or 255
and OUT/manifest.json: what was found, and why frames have no mask. The same
command again goes on where it stopped; a changed clip or setting starts anew.
"""

from __future__ import annotations

import json
import pathlib
import sys
import typing

from absl import app
from absl import flags

from mtssl_tf.motion import config as motion_config
from mtssl_tf.process import atomic_file
from mtssl_tf.reports import progress as progress_lib

if typing.TYPE_CHECKING:
    from mtssl_tf.motion import job

_VIDEOS = flags.DEFINE_string(
    "videos", None, "Folder of video files and folders of numbered frames."
)
_OUT = flags.DEFINE_string("out", None, "Folder to write to.")
_METHOD = flags.DEFINE_enum(
    "method",
    motion_config.MotionConfig().method,
    motion_config.METHODS,
    "refined: what measures best; idt: the paper's.",
)
_COMPARE = flags.DEFINE_string(
    "compare", None, "Folder of true masks, CLIP/FRAME.png: print agreement."
)
_OVERLAY = flags.DEFINE_bool(
    "overlay", False, "Also draw a contact sheet and a short video per clip."
)
_SHORT_SIDE = flags.DEFINE_integer(
    "short_side", None, "Shrink frames to this short side, in px.", 32
)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "Clips at a time; default: one per CPU core.", 1
)
_SPEED = flags.DEFINE_bool(
    "speed", False, "Also time a bare flow pass: print whole / bare."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}.")
    # OpenCV takes a moment to load: not before --help is answered.
    from mtssl_tf.motion import clips
    from mtssl_tf.motion import job

    out = pathlib.Path(_OUT.value)
    config = motion_config.MotionConfig(method=_METHOD.value)
    try:
        jobs = [
            job.Job(
                clip,
                config,
                out,
                _SHORT_SIDE.value,
                is_overlaid=_OVERLAY.value,
                is_timed=_SPEED.value,
                truth=pathlib.Path(_COMPARE.value) if _COMPARE.value else None,
            )
            for clip in clips.list_clips(_VIDEOS.value)
        ]
        if _COMPARE.value and not pathlib.Path(_COMPARE.value).is_dir():
            raise FileNotFoundError(
                f"No folder of true masks at {_COMPARE.value}."
            )
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"motion_masks: {error}")
    records = _run_all(jobs)
    manifest = {"method": config.method, "clips": records}
    path = out / "manifest.json"
    atomic_file.write_text(path, json.dumps(manifest, indent=1) + "\n")
    print(_table(records))
    print(f"Wrote {path}.")


def _run_all(jobs: list[job.Job]) -> list[dict]:
    """Does all jobs; says how far it is, and at the end what went wrong."""
    from mtssl_tf.motion import parallel

    progress = progress_lib.ProgressLine(len(jobs), "clips")

    def show(done: int, total: int, record: dict) -> None:
        progress.update(done, _describe(record))

    records = parallel.run_jobs(jobs, _WORKERS.value, show)
    progress.finish(f"{len(records)}/{len(jobs)} clips")
    for record in records:
        if record["problem"]:
            print(_describe(record), file=sys.stderr)
    return records


def _describe(record: dict) -> str:
    text = (
        f"{record['name']}: {record['num_masks']} masks of "
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
    return f"{value:.3f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    flags.mark_flags_as_required(["videos", "out"])
    app.run(main)
