"""Classification with frozen weights: `python -m evaluation.imagenet_linear`.

The first of the paper's evaluations (sec. 5), on any labelled pictures. From
flags to a checked protocol to `result.json`; TensorFlow is imported only when
there is work.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib
import sys
import time
from typing import Any

from absl import flags

from evaluation import result
from evaluation.classification import data as data_lib
from evaluation.classification import protocol as protocol_lib
from mtssl_tf import config as config_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.process import keras_settings

EXIT_USER_ERROR = 2
CONFUSION_FILE = "confusion.png"
_BOTH = "both"

LinearProtocol = protocol_lib.FastLinearProtocol | protocol_lib.LinearProtocol


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
        list(protocol_lib.PRESETS),
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
        f"With --lasso: weight of its penalty, {model_config.LassoConfig().l1} "
        "if absent.",
        0.0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "batch_norm",
        "frozen",
        [*protocol_lib.BATCH_NORM_MODES, _BOTH],
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
    preset = protocol_lib.PRESETS[values.preset]
    protocol: LinearProtocol = preset.full if values.full else preset.fast
    changes: dict[str, Any] = {}
    if values.epochs:
        changes["epochs"] = values.epochs
    if values.lasso:
        default = model_config.LassoConfig()
        l1 = default.l1 if values.l1 is None else values.l1
        changes["lasso"] = dataclasses.replace(default, l1=l1)
        changes["output_stride"] = min(16, protocol.output_stride)
    modes = (
        protocol_lib.BATCH_NORM_MODES
        if values.batch_norm == _BOTH
        else (values.batch_norm,)
    )
    return {
        mode: dataclasses.replace(protocol, batch_norm=mode, **changes)
        for mode in modes
    }


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
        keras_settings.fix()
        data = data_lib.open_data(values.train, values.test)
        for number, (mode, protocol) in enumerate(protocols.items()):
            out = pathlib.Path(values.out)
            if number > 0:
                out = out / mode
            metrics = _evaluate(values, protocol, data, out)
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
    data: data_lib.LabelledData,
    out: pathlib.Path,
) -> dict[str, Any]:
    """Runs one protocol, writes its result and returns its metrics."""
    # Seconds of imports, which no mistake so far had to wait for.
    from evaluation.classification import confusion_picture
    from evaluation.classification import fast_linear
    from evaluation.classification import frozen_trunk
    from evaluation.classification import trained_linear

    start = time.perf_counter()
    trunk = frozen_trunk.build_frozen_trunk(
        values.trunk,
        protocol,
        config_lib.PRESETS[values.preset].trunk,
        values.seed,
        data,
    )
    if isinstance(protocol, protocol_lib.LinearProtocol):
        name = f"{protocol.id}-{trunk.identity.digest[:8]}-{values.seed}"
        folder = out / "checkpoints" / name
        outcome = trained_linear.run_trained(
            trunk, protocol, data, values.seed, folder
        )
    else:
        outcome = fast_linear.run_fast(trunk, protocol, data, values.seed)
    extra: dict[str, Any] = {
        "pictures_per_s": outcome.pictures_per_s,
        "bare_pictures_per_s": outcome.bare_pictures_per_s,
    }
    if outcome.mixing_weights is not None:
        extra["mixing_weights"] = {"imagenet_linear": outcome.mixing_weights}
        extra["unit_names"] = trunk.unit_names
    result.save_result(
        out,
        protocol,
        outcome.metrics,
        trunk=trunk.identity,
        data=data.describe(),
        seed=values.seed,
        wall_time_s=time.perf_counter() - start,
        extra=extra,
    )
    confusion_picture.save_confusion(
        out / CONFUSION_FILE, outcome.confusion, data.test.class_names
    )
    return outcome.metrics


if __name__ == "__main__":
    sys.exit(main(sys.argv))
