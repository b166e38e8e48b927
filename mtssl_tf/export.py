"""Exports a trained trunk: `python -m mtssl_tf.export`.

Writes a SavedModel that needs none of our code, `.keras`, the settings and a
model card; then loads the SavedModel again and compares.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import pathlib
import sys

from absl import flags
import numpy as np

from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import atomic_file
from mtssl_tf.process import keras_settings
from mtssl_tf.training import run_directory

SAVED_MODEL_FOLDER = "saved_model"
CARD_FILE = "README.md"

# The reloaded model runs the same operations: only their fusion may differ.
_MAX_ERROR = 1e-4  # of the largest feature


def export_trunk(workdir: pathlib.Path, out: pathlib.Path) -> float:
    """Exports a run's trunk.

    Args:
        workdir: run directory.
        out: folder to write; appears whole or not at all.

    Returns:
        The largest difference between the trunk and the reloaded model,
        relative to the largest feature.

    Raises:
        FileExistsError: `out` is there already.
        FileNotFoundError: the run has no checkpoint.
    """
    from mtssl_tf import model_card
    from mtssl_tf import pretrained as pretrained_lib

    if out.exists():
        raise FileExistsError(
            f"--out={out} exists. Name a new folder, or remove that one."
        )
    if not (workdir / run_directory.CONFIG_FILE).is_file():
        raise FileNotFoundError(
            f"--workdir={workdir} is no run directory: it holds no "
            f"{run_directory.CONFIG_FILE}."
        )
    pretrained = pretrained_lib.load_pretrained(str(workdir))
    with atomic_file.new_folder(out) as partial:
        _save_saved_model(pretrained, partial / SAVED_MODEL_FOLDER)
        error = _compare(pretrained, partial / SAVED_MODEL_FOLDER)
        pretrained.trunk.save(partial / pretrained_lib.TRUNK_FILE)
        if pretrained.block4 is not None:
            pretrained.block4.save(partial / pretrained_lib.BLOCK4_FILE)
        settings = (workdir / run_directory.CONFIG_FILE).read_text()
        (partial / run_directory.CONFIG_FILE).write_text(settings)
        (partial / CARD_FILE).write_text(
            model_card.write_card(
                pretrained, json.loads(settings), workdir, error
            )
        )
    return error


def _save_saved_model(pretrained, folder: pathlib.Path) -> None:
    """Writes the trunk with a signature for each kind of picture."""

    def extract(image):
        rgb = tf.cast(image, tf.float32)
        return pretrained.trunk(pretrained.contract.apply(rgb), training=False)

    def spec(dtype):
        return tf.TensorSpec([None, None, None, 3], dtype, name="image")

    module = tf.Module()
    module.variables_ = [v.value for v in pretrained.trunk.variables]
    from_uint8 = tf.function(extract, input_signature=[spec(tf.uint8)])
    from_float = tf.function(extract, input_signature=[spec(tf.float32)])
    tf.saved_model.save(
        module,
        str(folder),
        signatures={
            "serving_default": from_uint8,
            "uint8": from_uint8,
            "float": from_float,
        },
    )


def _compare(pretrained, folder: pathlib.Path) -> float:
    """Returns the largest relative difference to the reloaded SavedModel.

    Raises:
        ArithmeticError: it is too large.
    """
    reloaded = tf.saved_model.load(str(folder))
    random = np.random.default_rng(0)
    worst = 0.0
    for size in ((64, 96), (97, 65)):
        image = random.integers(0, 256, (2, *size, 3), np.uint8)
        expected = pretrained.trunk(
            pretrained.contract.apply(image), training=False
        )
        for name, dtype in (("uint8", tf.uint8), ("float", tf.float32)):
            signature = reloaded.signatures[name]
            got = signature(image=tf.cast(image, dtype))
            for unit, feature in expected.items():
                feature = keras.ops.convert_to_numpy(feature)
                error = np.abs(got[unit].numpy() - feature).max()
                worst = max(worst, float(error / np.abs(feature).max()))
    if not worst <= _MAX_ERROR:
        raise ArithmeticError(
            f"The reloaded SavedModel differs by {worst:.1e} of the largest "
            f"feature, more than {_MAX_ERROR:.0e}. Nothing was written."
        )
    return worst


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    for name, text in (
        ("workdir", "Run directory to export."),
        ("out", "Folder to write; must not exist."),
    ):
        flags.DEFINE_string(name, "", text, flag_values=values)
    return values


def main(argv: Sequence[str]) -> int:
    """Exports, and prints what the check found; 2 is a mistaken input."""
    values = define_flags()
    if {"--help", "-h"} & set(argv[1:]):
        print(f"{__doc__}\n{values.get_help()}")
        return 0
    try:
        rest = values(list(argv))[1:]
        if rest:
            raise ValueError(f"There are only flags here, got {rest}.")
        if not values.workdir or not values.out:
            raise ValueError("Both --workdir and --out must be named.")
        keras_settings.fix()
        out = pathlib.Path(values.out)
        difference = export_trunk(pathlib.Path(values.workdir), out)
    except (flags.Error, ValueError, OSError, ArithmeticError) as error:
        print(f"mtssl_tf.export: {error}", file=sys.stderr)
        return 2
    print(
        f"Exported to {out}. The reloaded model gives the same numbers: the "
        f"largest difference is {difference:.1e} of the largest feature."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
