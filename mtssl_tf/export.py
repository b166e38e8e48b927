"""Exports a trained trunk: `python -m mtssl_tf.export`.

Writes a SavedModel that needs none of our code, `.keras`, the settings and a
model card; then loads the SavedModel again and compares.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import pathlib
import sys

from absl import flags
import numpy as np

from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command
from mtssl_tf.process import lock
from mtssl_tf.process import paths
from mtssl_tf.training import run_directory

NAME = "mtssl_tf.export"
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
        settings = run_directory.load_settings(workdir)
        run_directory.copy_settings(workdir, partial)
        (partial / CARD_FILE).write_text(
            model_card.write_card(pretrained, settings, workdir, error)
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
    with paths.without_pattern(folder) as plain:
        reloaded = tf.saved_model.load(plain)
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
        command.define_path(name, "", text, values)
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(NAME, __doc__, define_flags(), argv, _work)


def _work(values: flags.FlagValues) -> None:
    """Exports, and prints what the check found."""
    if not values.workdir or not values.out:
        raise ValueError("Both --workdir and --out must be named.")
    out = pathlib.Path(values.out)
    with lock.hold_name(out, command.end_at_lost_lock(NAME)):
        atomic_file.remove_partials(out)
        difference = export_trunk(pathlib.Path(values.workdir), out)
    print(
        f"Exported to {out}. The reloaded model gives the same numbers: the "
        f"largest difference is {difference:.1e} of the largest feature."
    )


if __name__ == "__main__":
    command.end(main(sys.argv))
