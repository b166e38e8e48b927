"""Fine-tunes a trunk to detect objects, and judges it (paper, section 5).

    python -m evaluation.voc_detection --trunk=RUN --data=VOCDEVKIT/VOC2007 \\
        --train=trainval --test=test --out=DIR [--lasso]
    python -m evaluation.voc_detection --score=DETECTIONS \\
        --data=VOCDEVKIT/VOC2007 --test=test [--out=DIR]

The first form trains Faster R-CNN and scores it; the same command again
resumes. The second scores a file of detections that anyone made.
docs/voc_detection.md has data, measures, protocol and deviations. TensorFlow
is imported once flags and data are in order.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

import dataclasses
import pathlib
import sys

from absl import flags

from evaluation import command
from evaluation import result
from evaluation.detection import files
from evaluation.detection import metrics
from evaluation.detection import protocol as protocol_lib
from evaluation.detection import voc_data
from mtssl_tf import settings
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command as process_command

METRICS_FILE = "metrics.json"


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = command.define_shared_flags(sorted(protocol_lib.PRESETS))
    process_command.define_path(
        "data",
        None,
        "A VOC devkit folder (with Annotations, ImageSets and "
        "JPEGImages), or tfds:voc/2007.",
        values,
    )
    process_command.define_path(
        "score",
        None,
        "Scores these detections instead: a .json file, a "
        "VOC text file of one class, or a folder of such.",
        values,
    )
    for name, default, text in (
        ("train", "trainval", "Split to train on."),
        ("test", "test", "Split to judge on."),
    ):
        flags.DEFINE_string(name, default, text, flag_values=values)
    flags.DEFINE_bool(
        "strict",
        False,
        "Stops at a wrong entry of the data; otherwise such "
        "entries are skipped and counted.",
        flag_values=values,
    )
    command.define_set(values)
    return values


def open_data(values: flags.FlagValues) -> list[voc_data.VocSplit]:
    """Opens the splits to train and judge on, no picture of them.

    Raises:
        FileNotFoundError: there is no such data.
        ValueError: it has no such split, or nothing that can be used.
    """
    return [
        voc_data.load_split(values.data, name, values.strict)
        for name in (values.train, values.test)
    ]


def main(argv: list[str]) -> int:
    """Runs the program and returns its exit code; 2 is a mistaken input."""
    return command.run(
        "voc_detection", __doc__, define_flags(), argv, _evaluate
    )


def _evaluate(values: flags.FlagValues) -> None:
    needed = ("data",) if values.score else ("trunk", "data", "out")
    command.check_given(values, needed)
    protocol = command.with_preset(
        values,
        lambda preset: settings.replace_all(
            protocol_lib.PRESETS[preset], values.set
        ),
    )
    if values.lasso:
        protocol = dataclasses.replace(protocol, use_lasso=True)
    if values.score:
        _score(values)
    else:
        _train(values, protocol)


def _score(values: flags.FlagValues) -> None:
    split = voc_data.load_split(values.data, values.test, values.strict)
    _tell_skipped(split)
    found = files.load_detections(
        pathlib.Path(values.score),
        [picture.name for picture in split.pictures],
    )
    score = metrics.score_detections(split.ground_truth(), found)
    print(metrics.as_table(score.metrics))
    if values.out:
        out_dir = pathlib.Path(values.out)
        out_dir.mkdir(parents=True, exist_ok=True)
        told = {
            "metrics": score.metrics,
            "data": split.describe(),
            "detections": str(values.score),
        }
        atomic_file.write_text(out_dir / METRICS_FILE, result.as_json(told))
        from evaluation.detection import pictures  # imports matplotlib

        pictures.save_all(out_dir, split, found, score.curves)


def _train(
    values: flags.FlagValues, protocol: protocol_lib.VocDetectionProtocol
) -> None:
    splits = [
        voc_data.with_whole_pictures(split, values.strict)
        for split in open_data(values)
    ]
    for split in splits:
        _tell_skipped(split)
    # Seconds of imports, which no mistake above had to wait for.
    from evaluation.detection import run

    run.run(
        trunk_source=values.trunk,
        train_split=splits[0],
        test_split=splits[1],
        out_dir=pathlib.Path(values.out),
        preset=values.preset,
        protocol=protocol,
        seed=values.seed,
    )


def _tell_skipped(split: voc_data.VocSplit) -> None:
    for kind, count in split.skipped.items():
        print(
            f"voc_detection: skipped {count} {kind} in split "
            f"{split.name!r}; --strict stops at the first.",
            file=sys.stderr,
        )


if __name__ == "__main__":
    process_command.end(main(sys.argv))
