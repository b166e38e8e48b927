"""Fine-tunes a trunk to predict depth, and judges it (paper, section 5).

    python -m evaluation.nyu_depth --trunk=RUN --data=SRC --out=DIR

The same command again resumes. docs/nyu_depth.md has data, measures, protocol
and deviations. TensorFlow is imported once flags and data are in order.
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
from evaluation.depth import config as depth_config
from evaluation.depth import data as data_lib
from evaluation.depth import pairs as pairs_lib
from mtssl_tf import settings
from mtssl_tf.models import config as model_config
from mtssl_tf.process import command as process_command


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = command.define_shared_flags(sorted(depth_config.PRESETS))
    process_command.define_path(
        "data",
        None,
        "NYU's labelled .mat, tfds:nyu_depth_v2, or a folder of rgb/ and "
        "depth/ (16-bit PNG, millimetres).",
        values,
    )
    process_command.define_path(
        "split",
        None,
        "The .mat file's official split; without it, the splits.mat beside it.",
        values,
    )
    flags.DEFINE_float(
        "test_share",
        0.25,
        "Share of a folder's pairs, the last by name, to test on.",
        0.0,
        1.0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "steps",
        None,
        "Training steps, other than the preset's.",
        1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "learning_rate",
        None,
        "Other than the preset's.",
        0.0,
        flag_values=values,
    )
    command.define_set(values)
    return values


def open_data(values: flags.FlagValues) -> pairs_lib.DepthData:
    """Opens what the flags name; raises OSError or ValueError, as it does."""
    return data_lib.load_depth_data(
        values.data,
        pathlib.Path(values.split) if values.split else None,
        values.test_share,
    )


def main(argv: list[str]) -> int:
    """Runs the program and returns its exit code; 2 is a mistaken input."""
    return command.run("nyu_depth", __doc__, define_flags(), argv, _evaluate)


def _evaluate(values: flags.FlagValues) -> None:
    command.check_given(values, ("trunk", "data", "out"))
    changes = {
        name: values[name].value
        for name in ("steps", "learning_rate")
        if values[name].value is not None
    }
    config = command.with_preset(
        values,
        lambda preset: settings.replace_all(
            dataclasses.replace(depth_config.PRESETS[preset], **changes),
            values.set,
        ),
    )
    data = open_data(values)
    # Seconds of imports, which no mistake above had to wait for.
    from evaluation.depth import run

    run.run(
        trunk_source=values.trunk,
        data=data,
        out_dir=pathlib.Path(values.out),
        preset=values.preset,
        config=config,
        lasso=model_config.LassoConfig() if values.lasso else None,
        seed=values.seed,
    )


if __name__ == "__main__":
    process_command.end(main(sys.argv))
