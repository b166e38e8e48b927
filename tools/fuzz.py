"""Gives every reader of strangers' files broken ones: no crash, hang or flood.

    python -m tools.fuzz --out=DIR [--only=voc_xml,archive] [--inputs=20000]

Inputs are mutations of small whole files, guided by what they reach in readers
of ours (atheris, extra `test`). A reader may return or raise a `ValueError` or
an `OSError`, which commands turn into one line; it has 10 seconds and 1 GB for
each input. Whatever else it does is kept as OUT/TARGET/crash-*. The result is
a table, and OUT/fuzz.json; exit code 1 where something was found.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import json
import pathlib
import re
import subprocess
import sys
import time

from absl import flags

from mtssl_tf.process import atomic_file
from mtssl_tf.process import command

RESULT_FILE = "fuzz.json"
# Where the reader is OpenCV's, HDF5's or TensorFlow's, only few inputs a
# second get through.
TARGETS = (
    "picture",
    "video",
    "voc_xml",
    "detections",
    "nyu_mat",
    "nyu_split",
    "tfrecord",
    "checkpoint",
    "archive",
    "keras_file",
    "config_json",
    "metrics_lines",
)
_TARGET = "from tools import fuzz_targets; fuzz_targets.main()"
_SECONDS, _MEGABYTES = 10, 1024  # ours: of one input
_MEGABYTES_AT_START = 1200  # TensorFlow, OpenCV and the readers themselves


_FLAGS = flags.FlagValues()
command.define_path("out", "", "Folder to write.", _FLAGS)
flags.DEFINE_list("only", list(TARGETS), "Targets.", flag_values=_FLAGS)
flags.DEFINE_integer("inputs", 20000, "Of each target.", 1, flag_values=_FLAGS)
flags.DEFINE_integer(
    "seconds", 300, "For each target, at most.", 1, flag_values=_FLAGS
)
flags.DEFINE_integer("seed", 1, "Of the mutations.", 1, flag_values=_FLAGS)


def main(argv: Sequence[str]) -> int:
    """Fuzzes the targets; 1 where something was found."""
    return command.run("tools.fuzz", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> int:
    unknown = set(values.only) - set(TARGETS)
    if unknown or not values.out:
        raise ValueError(
            f"--out={values.out} --only={','.join(values.only)}: expected a "
            f"folder to write, and some of {', '.join(TARGETS)}."
        )
    out = pathlib.Path(values.out)
    records = []
    for target in values.only:
        records.append(_fuzz(target, out / target, values))
        atomic_file.write_text(
            out / RESULT_FILE, json.dumps(records, indent=1) + "\n"
        )
        print(as_table(records[-1:]).splitlines()[-1], flush=True)
    print(as_table(records))
    return int(any(record["found"] for record in records))


def _fuzz(target: str, out: pathlib.Path, values: flags.FlagValues) -> dict:
    """Runs one target in a process of its own, which may die."""
    corpus = out / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for old in _artifacts(out):
        old.unlink()
    start = time.monotonic()
    with (out / "log").open("wb") as log:
        code = subprocess.call(
            [
                *(sys.executable, "-c", _TARGET, target),
                *(str(corpus), f"-artifact_prefix={out}/"),
                *(f"-runs={values.inputs}", f"-seed={values.seed}"),
                *(f"-max_total_time={values.seconds}", f"-timeout={_SECONDS}"),
                f"-rss_limit_mb={_MEGABYTES_AT_START + _MEGABYTES}",
                # Readers that are not ours show no coverage, by which whole
                # files would make room for shorter ones that are none.
                *("-keep_seed=1", "-reduce_inputs=0"),
                *("-print_final_stats=1", "-verbosity=1"),
            ],
            stdout=log,
            stderr=log,
        )
    text = (out / "log").read_text(errors="replace")
    found = [path.name for path in _artifacts(out)]
    if code and not found:
        found = [f"exit code {code}; see {out / 'log'}"]
    return {
        "target": target,
        "inputs": _figure(text, "number_of_executed_units"),
        "seconds": round(time.monotonic() - start, 1),
        "peak_mb": _figure(text, "peak_rss_mb"),
        "found": found,
    }


def _artifacts(out: pathlib.Path) -> list[pathlib.Path]:
    """Returns the inputs that libFuzzer has kept, named by what they do."""
    return [path for path in sorted(out.glob("*-*")) if path.is_file()]


def _figure(text: str, name: str) -> int:
    found = re.findall(rf"stat::{name}:\s*(\d+)", text)
    return int(found[-1]) if found else 0


def as_table(records: Sequence[dict]) -> str:
    """Returns the outcomes as Markdown."""
    lines = [
        "| reader of | inputs | seconds | peak memory, MB | found |",
        "|---|---:|---:|---:|---|",
    ]
    for each in records:
        found = ", ".join(each["found"]) or "nothing"
        lines.append(
            f"| {each['target']} | {each['inputs']} | {each['seconds']:.0f} "
            f"| {each['peak_mb']} | {found} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    command.end(main(sys.argv))
