"""Classification with frozen weights: `python -m evaluation.imagenet_linear`.

The first of the paper's evaluations (sec. 5), on any labelled pictures. From
flags to a checked protocol to `result.json`; TensorFlow is imported only when
there is work.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

import dataclasses
import functools
import pathlib
import sys
import time
from typing import Any

from absl import flags

from evaluation import command
from evaluation import result
from evaluation.classification import data as data_lib
from evaluation.classification import protocol as protocol_lib
from mtssl_tf import config as config_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.process import command as process_command

NAME = "imagenet_linear"
CONFUSION_FILE = "confusion.png"
_BOTH = "both"

LinearProtocol = protocol_lib.FastLinearProtocol | protocol_lib.LinearProtocol


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = command.define_shared_flags(
        protocol_lib.PRESETS, ", or 'pixels' for no trunk at all"
    )
    process_command.define_images(
        "train",
        "Pictures to train the classifier on, with a folder a class",
        values,
    )
    process_command.define_images(
        "test", "Pictures to test with, of the same classes", values
    )
    flags.DEFINE_bool(
        "full",
        False,
        "The paper's protocol: trains on augmented views, for hours on "
        "ImageNet. Without it: features once, a fit in seconds.",
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
        "output_stride",
        None,
        ["8", "16", "32"],
        "Stride at which the trunk is read; the preset's if absent, and at "
        f"most {protocol_lib.LASSO_STRIDE} with --lasso: there its units have "
        "one size.",
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
    command.check_given(values, ("trunk", "train", "test", "out"))
    if values.epochs and not values.full:
        raise ValueError("--epochs is for --full: the fast fit has none.")
    if values.l1 is not None and not values.lasso:
        raise ValueError("--l1 is for --lasso: without it nothing is mixed.")
    return command.with_preset(values, functools.partial(_protocols_of, values))


def _protocols_of(
    values: flags.FlagValues, preset_name: str
) -> dict[str, LinearProtocol]:
    preset = protocol_lib.PRESETS[preset_name]
    protocol: LinearProtocol = preset.full if values.full else preset.fast
    changes: dict[str, Any] = {}
    if values.epochs:
        changes["epochs"] = values.epochs
    if values.lasso:
        default = model_config.LassoConfig()
        l1 = default.l1 if values.l1 is None else values.l1
        changes["lasso"] = dataclasses.replace(default, l1=l1)
        changes["output_stride"] = min(
            protocol_lib.LASSO_STRIDE, protocol.output_stride
        )
    if values.output_stride:
        changes["output_stride"] = int(values.output_stride)
    modes = (
        protocol_lib.BATCH_NORM_MODES
        if values.batch_norm == _BOTH
        else (values.batch_norm,)
    )
    return {
        mode: dataclasses.replace(protocol, batch_norm=mode, **changes)
        for mode in modes
    }


def open_data(values: flags.FlagValues) -> data_lib.LabelledData:
    """Opens what the flags name; raises OSError or ValueError, as it does."""
    return data_lib.open_data(values.train, values.test)


def main(argv: list[str]) -> int:
    """Runs the program and returns its exit code; 2 is a mistaken input."""
    return command.run(NAME, __doc__, define_flags(), argv, _evaluate)


def _evaluate(values: flags.FlagValues) -> None:
    protocols = protocols_from_flags(values)
    data = open_data(values)
    default_stride = protocol_lib.PRESETS[values.preset].fast.output_stride
    for number, (mode, protocol) in enumerate(protocols.items()):
        out = pathlib.Path(values.out)
        if number > 0:
            out = out / mode
        metrics = _evaluate_by(protocol, values, data, out)
        if protocol.output_stride != default_stride:
            print(
                f"read at output stride {protocol.output_stride}; the preset "
                f"reads the last unit at {default_stride}: compare at one, by "
                "--output_stride."
            )
        recall = metrics["recall_at_5"]
        print(
            f"batch norm {mode}: top-1 {metrics['top1']:.1f} %"
            + ("" if recall is None else f", recall@5 {recall:.1f} %")
        )


def _evaluate_by(
    protocol: LinearProtocol,
    values: flags.FlagValues,
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
    data = data.in_range(trunk.value_range)
    if isinstance(protocol, protocol_lib.LinearProtocol):
        name = f"{protocol.id}-{trunk.identity.digest[:8]}-{values.seed}"
        folder = out / "checkpoints" / name
        outcome = trained_linear.run_trained(
            trunk, protocol, data, values.seed, folder
        )
    else:
        outcome = fast_linear.run_fast(trunk, protocol, data, values.seed)
    result.save_result(
        out,
        protocol,
        outcome.metrics,
        trunk=trunk.identity,
        data=data.describe(),
        seed=values.seed,
        wall_time_s=time.perf_counter() - start,
        extra={
            "pictures_per_s": outcome.pictures_per_s,
            "bare_pictures_per_s": outcome.bare_pictures_per_s,
            **result.mix_entries(
                NAME, outcome.mixing_weights, trunk.unit_names
            ),
        },
    )
    confusion_picture.save_confusion(
        out / CONFUSION_FILE, outcome.confusion, data.test.class_names
    )
    return outcome.metrics


if __name__ == "__main__":
    process_command.end(main(sys.argv))
