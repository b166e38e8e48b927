"""Classification with frozen weights: `python -m evaluation.imagenet_linear`.

The first of the paper's evaluations (sec. 5), on any labelled pictures. From
flags to a checked protocol to `result.json`; TensorFlow is imported only when
there is work.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import os
import pathlib
import sys
import time
from typing import Any

from absl import flags

from evaluation.classification import linear_protocol
from evaluation.classification.classification_metrics import RECALL_AT
from evaluation.result import save_result
from mtssl_tf.frozen import labelled_pictures
from mtssl_tf.lasso_config import LassoConfig

EXIT_USER_ERROR = 2
CONFUSION_FILE = "confusion.png"
_BOTH = "both"

LinearProtocol = (
    linear_protocol.FastLinearProtocol | linear_protocol.LinearProtocol
)


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    for name, text in (
        (
            "trunk",
            "A run directory, an export, a TF-Slim checkpoint, 'random', or "
            "'pixels' for no trunk at all.",
        ),
        (
            "train",
            "Pictures to train the classifier on: a folder with a folder a "
            "class, or tfds:NAME:SPLIT.",
        ),
        ("test", "Pictures to test with, of the same classes."),
        ("out", "Folder for result.json and the confusion picture."),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    flags.DEFINE_enum(
        "preset",
        "tiny",
        list(linear_protocol.PRESETS),
        "Scale of pictures and of a random trunk.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "full",
        False,
        "The paper's protocol: trains on augmented views, for hours on "
        "ImageNet. Without it: features once, a fit in seconds.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "lasso",
        False,
        "Learns a sparse mix of the frozen units too.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "l1",
        None,
        f"With --lasso: weight of its penalty, {LassoConfig().l1} if absent.",
        0.0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "batch_norm",
        "frozen",
        [*linear_protocol.BATCH_NORM_MODES, _BOTH],
        "Statistics that came with the trunk, or those of the training "
        "pictures; with both, the second result lies in OUT/reestimated.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Of everything random.", 0, flag_values=values
    )
    flags.DEFINE_integer(
        "epochs",
        None,
        "With --full: passes over the training pictures.",
        1,
        flag_values=values,
    )
    return values


def protocols_from_flags(
    values: flags.FlagValues,
) -> dict[str, LinearProtocol]:
    """Returns one protocol for each treatment of batch norm.

    Raises:
        ValueError: a flag is missing or does not fit the others.
    """
    names = ("trunk", "train", "test", "out")
    missing = [f"--{name}" for name in names if not values[name].value]
    if missing:
        raise ValueError(f"{', '.join(missing)} must be given; see --help.")
    if values.epochs and not values.full:
        raise ValueError("--epochs is for --full: the fast fit has none.")
    if values.l1 is not None and not values.lasso:
        raise ValueError("--l1 is for --lasso: without it nothing is mixed.")
    preset = linear_protocol.PRESETS[values.preset]
    protocol: LinearProtocol = preset.full if values.full else preset.fast
    changes: dict[str, Any] = {}
    if values.epochs:
        changes["epochs"] = values.epochs
    if values.lasso:
        default = LassoConfig()
        l1 = default.l1 if values.l1 is None else values.l1
        changes["lasso"] = dataclasses.replace(default, l1=l1)
        changes["output_stride"] = min(16, protocol.output_stride)
    modes = (
        linear_protocol.BATCH_NORM_MODES
        if values.batch_norm == _BOTH
        else (values.batch_norm,)
    )
    return {
        mode: dataclasses.replace(protocol, batch_norm=mode, **changes)
        for mode in modes
    }


def open_sources(
    train: str, test: str
) -> tuple[
    labelled_pictures.LabelledPictures, labelled_pictures.LabelledPictures
]:
    """Opens both sources and checks that they fit together.

    Raises:
        FileNotFoundError: a folder is missing.
        ValueError: classes are empty, differ, or are too few.
    """
    opened = [labelled_pictures.open_labelled(spec) for spec in (train, test)]
    labelled_pictures.check_same_classes(
        opened[0].class_names, opened[1].class_names
    )
    if opened[0].num_classes < RECALL_AT:
        raise ValueError(
            f"recall@{RECALL_AT} needs {RECALL_AT} classes or more; {train} "
            f"has {opened[0].num_classes}: "
            f"{', '.join(opened[0].class_names)}."
        )
    return opened[0], opened[1]


def main(argv: Sequence[str]) -> int:
    """Runs the program and returns its exit code; 2 is a mistaken input."""
    values = define_flags()
    if {"--help", "-h"} & set(argv[1:]):
        print(f"{__doc__}\n{values.get_help()}")
        return 0
    try:
        rest = values(argv)[1:]
        if rest:
            raise ValueError(f"There are only flags here, got {rest}.")
        protocols = protocols_from_flags(values)
        train, test = open_sources(values.train, values.test)
        for number, (mode, protocol) in enumerate(protocols.items()):
            out = pathlib.Path(values.out)
            if number > 0:
                out = out / mode
            metrics = _evaluate(values, protocol, train, test, out)
            print(
                f"batch norm {mode}: top-1 {metrics['top1']:.1f} %, recall@5 "
                f"{metrics['recall_at_5']:.1f} %"
            )
    except (flags.Error, ValueError, OSError, FloatingPointError) as error:
        print(f"imagenet_linear: {error}", file=sys.stderr)
        return EXIT_USER_ERROR
    return 0


def _evaluate(
    values: flags.FlagValues,
    protocol: LinearProtocol,
    train: labelled_pictures.LabelledPictures,
    test: labelled_pictures.LabelledPictures,
    out: pathlib.Path,
) -> dict[str, Any]:
    """Runs one protocol, writes its result and returns its metrics."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Seconds of imports, which no mistake so far had to wait for.
    from evaluation.classification import confusion_picture
    from evaluation.classification import fast_linear
    from evaluation.classification import frozen_trunk
    from evaluation.classification import trained_linear

    start = time.perf_counter()
    trunk = frozen_trunk.build_frozen_trunk(
        values.trunk,
        protocol,
        linear_protocol.PRESETS[values.preset].random_trunk,
        values.seed,
        train,
    )
    if isinstance(protocol, linear_protocol.LinearProtocol):
        name = f"{protocol.id}-{trunk.identity.digest[:8]}-{values.seed}"
        folder = out / "checkpoints" / name
        outcome = trained_linear.run_trained(
            trunk, protocol, train, test, values.seed, folder
        )
    else:
        outcome = fast_linear.run_fast(
            trunk, protocol, train, test, values.seed
        )
    extra: dict[str, Any] = {
        "pictures_per_s": outcome.pictures_per_s,
        "bare_pictures_per_s": outcome.bare_pictures_per_s,
    }
    if outcome.mixing_weights is not None:
        extra["mixing_weights"] = {"imagenet_linear": outcome.mixing_weights}
        extra["unit_names"] = trunk.unit_names
    save_result(
        out,
        protocol,
        outcome.metrics,
        trunk=trunk.identity,
        data={"train": _describe(train), "test": _describe(test)},
        seed=values.seed,
        wall_time_s=time.perf_counter() - start,
        extra=extra,
    )
    confusion_picture.save_confusion(
        out / CONFUSION_FILE, outcome.confusion, test.class_names
    )
    return outcome.metrics


def _describe(pictures: labelled_pictures.LabelledPictures) -> dict[str, Any]:
    return {
        "source": pictures.description,
        "num_pictures": pictures.num_pictures,
        "num_classes": pictures.num_classes,
        "digest": pictures.digest,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv))
