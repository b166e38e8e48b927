"""A trained trunk from wherever it is: for export and every evaluation."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib

import keras

from mtssl_tf import config as config_lib
from mtssl_tf.files import keras_archive
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import checkpoint as slim_checkpoint
from mtssl_tf.training import checkpoint
from mtssl_tf.training import run_directory

RANDOM = "random"
TRUNK_FILE = "trunk.keras"
BLOCK4_FILE = "block4.keras"


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A trunk and what must be known to use it.

    Attributes:
        trunk: float32 [B, H, W, 3] -> block-3 units by name.
        block4: block 4, where the weights have one.
        contract: the range of pictures that the weights expect.
        config: the trunk's shape.
        source: what the user named.
        digest: SHA-256 of the trunk's weights, in hexadecimal.
    """

    trunk: keras.Model
    block4: keras.Model | None
    contract: input_contract.InputContract
    config: model_config.TrunkConfig
    source: str
    digest: str


def load_trunk(
    path: str | os.PathLike, output_stride: int | None = None
) -> keras.Model:
    """Loads a trained trunk as a Keras model.

    Its input is what the run's `InputContract` (in `config.json`) makes of
    RGB in 0..255: by default the means (123.68, 116.779, 103.939) subtracted.

    Args:
        path: a run directory, an export, or a TF-Slim checkpoint with its
            input contract beside it, as `save_slim(..., contract=...)` and
            `python -m mtssl_tf.slim_checkpoint` write it.
        output_stride: 8, 16 or 32, to read the trunk at; its own if absent.

    Returns:
        A functional model from float32 [B, H, W, 3] to
        {'unit_01': float32 [B, h, w, C], ...} in depth order.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what is there is no trunk.
    """
    return load_pretrained(os.fspath(path), output_stride).trunk


def load_pretrained(
    source: str,
    output_stride: int | None = None,
    random_config: model_config.TrunkConfig | None = None,
    seed: int = 0,
) -> Pretrained:
    """Loads a trunk, or makes a random one.

    Args:
        source: a run directory, an export, a TF-Slim checkpoint that was
            saved here, or 'random'.
        output_stride: to read the trunk at; its own if absent.
        random_config: shape of the random trunk.
        seed: of the random trunk.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what is there is no trunk.
    """
    path = pathlib.Path(source)
    if source == RANDOM:
        trunk, block4, config, contract = _build_random(random_config, seed)
    elif (path / TRUNK_FILE).is_file():
        trunk, block4, config, contract = _load_export(path)
    elif (path / run_directory.CONFIG_FILE).is_file():
        trunk, block4, config, contract = _load_run(path)
    else:
        trunk, block4, config, contract = _load_slim(source)
    if output_stride not in (None, config.output_stride):
        config = dataclasses.replace(config, output_stride=output_stride)
        trunk = _rebuilt(trunk, trunk_lib.build_trunk(config))
        if block4 is not None:
            block4 = _rebuilt(block4, trunk_lib.build_block4(config))
    return Pretrained(
        trunk, block4, contract, config, source, weights_digest(trunk)
    )


def weights_digest(model: keras.Model) -> str:
    """Returns the SHA-256 of a model's weights, in hexadecimal."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()


_Parts = tuple[
    keras.Model,
    keras.Model | None,
    model_config.TrunkConfig,
    input_contract.InputContract,
]


def _build_random(config: model_config.TrunkConfig | None, seed: int) -> _Parts:
    if config is None:
        raise ValueError(
            "A random trunk needs a shape: name the preset whose trunk it is "
            "to be compared with."
        )
    keras.utils.set_random_seed(seed)
    return (
        trunk_lib.build_trunk(config),
        None,
        config,
        input_contract.InputContract(),
    )


def _load_run(folder: pathlib.Path) -> _Parts:
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"{folder} is a run, whose checkpoints Keras's TensorFlow back "
            f"end reads; this process has {keras.backend.backend()!r}. Name "
            "an export of it (python -m mtssl_tf.export)."
        )
    config = _read_config(folder)
    path = checkpoint.latest(folder)
    trunk = trunk_lib.build_trunk(config.trunk)
    checkpoint.restore_trunk(path, trunk)
    block4 = None
    if checkpoint.has_block4(path):
        block4 = trunk_lib.build_block4(config.trunk)
        checkpoint.restore_block4(path, block4)
    return trunk, block4, config.trunk, config.contract


def _load_export(folder: pathlib.Path) -> _Parts:
    config = _read_config(folder)
    trunk = _load_keras(folder / TRUNK_FILE)
    block4 = None
    if (folder / BLOCK4_FILE).is_file():
        block4 = _load_keras(folder / BLOCK4_FILE)
    return trunk, block4, config.trunk, config.contract


def _load_keras(path: pathlib.Path) -> keras.Model:
    keras_archive.check(path)
    return keras.saving.load_model(path)


def _load_slim(source: str) -> _Parts:
    try:
        return slim_checkpoint.load_pretrained(source)
    except FileNotFoundError as error:
        # Most who get here meant a run or an export.
        raise FileNotFoundError(
            f"{source} is no run directory (it has no "
            f"{run_directory.CONFIG_FILE}), no export (no {TRUNK_FILE}), and "
            f"can't be read as a TF-Slim checkpoint: {error}"
        ) from error


def _read_config(folder: pathlib.Path) -> config_lib.RunConfig:
    return run_directory.load_config(folder)


def _rebuilt(model: keras.Model, other: keras.Model) -> keras.Model:
    """Returns `other` with the weights of `model`: only strides differ."""
    other.set_weights(model.get_weights())
    return other
