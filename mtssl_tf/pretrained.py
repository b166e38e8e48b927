"""A trained trunk from wherever it is: for export and every evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import hashlib
import os
import pathlib

from absl import logging
import keras

from mtssl_tf import export_record
from mtssl_tf.files import hub
from mtssl_tf.files import keras_archive
from mtssl_tf.frozen import statistics as statistics_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.models import families
from mtssl_tf.models import input_contract
from mtssl_tf.models import rgb_trunk
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.reports import metrics_log
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
        trunk: what `contract` makes of pictures, float32 [B, H, W, 3] ->
            block-3 units by name.
        block4: block 4, where the weights have one.
        contract: the range of pictures that the weights expect.
        config: the trunk's shape.
        source: what the user named; "" while it is being loaded.
        digest: SHA-256 of the trunk's weights, in hexadecimal; likewise.
        preset: the scale that it was trained at; None where nobody knows.
        mixes: task -> its lasso mix, N weights in depth order; empty where
            there was no lasso.
        statistics: of units and mixes, where an export has them.
    """

    trunk: keras.Model
    block4: keras.Model | None
    contract: input_contract.InputContract
    config: model_config.TrunkConfig
    source: str = ""
    digest: str = ""
    preset: str | None = None
    mixes: Mapping[str, Sequence[float]] = dataclasses.field(
        default_factory=dict
    )
    statistics: Mapping[str, statistics_lib.ChannelStatistics] = (
        dataclasses.field(default_factory=dict)
    )

    @property
    def channels(self) -> int:
        """Channels of the unit that evaluations read, the last one."""
        return self.trunk.output[max(self.trunk.output)].shape[-1]


def load_trunk(
    path: str | os.PathLike, output_stride: int | None = None
) -> keras.Model:
    """Loads a trained trunk as a Keras model of pictures as they are.

    What its weights expect of pictures (the run's `InputContract`, in
    `config.json`) is a layer of the model. It can be compiled and fitted.

    Args:
        path: a run directory, an export, `hf://USER/NAME` of an uploaded one,
            or a TF-Slim checkpoint with its input contract beside it, as
            `save_slim(..., contract=...)` and `python -m
            mtssl_tf.slim_checkpoint` write it.
        output_stride: 8, 16 or 32, to read the trunk at; its own if absent.

    Returns:
        A functional model from RGB in 0..255, float32 or uint8 [B, H, W, 3],
        to {'unit_01': float32 [B, h, w, C], ...} in depth order. Its layer
        'trunk' is the same without the input contract.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what is there is no trunk, or an export without
            `trunk.keras`.
    """
    loaded = load_pretrained(os.fspath(path), output_stride)
    return rgb_trunk.build_rgb_trunk(loaded.trunk, loaded.contract)


def load_pretrained(
    source: str,
    output_stride: int | None = None,
    random_config: model_config.TrunkConfig | None = None,
    seed: int = 0,
) -> Pretrained:
    """Loads a trunk, or makes a random one.

    Args:
        source: a run directory, an export, `hf://USER/NAME` of an uploaded
            one, a TF-Slim checkpoint that was saved here, 'random', or
            'random:FAMILY' of `trunk.family`.
        output_stride: to read the trunk at; its own if absent.
        random_config: shape of the random trunk, but for its FAMILY.
        seed: of the random trunk.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: what is there is no trunk.
    """
    is_on_hub = hub.is_on_hub(source)
    path = hub.download(source) if is_on_hub else pathlib.Path(source)
    if is_on_hub:
        _check_strangers(path, source)
    if is_random(source):
        if pathlib.Path(source).is_dir():
            logging.warning(
                "--trunk=%s is a trunk of random weights, not the folder of "
                "that name here, which would be ./%s.",
                source,
                source,
            )
        loaded = _build_random(source, random_config, seed)
    elif (path / TRUNK_FILE).is_file():
        loaded = _load_export(path)
    elif (path / export_record.FILE).is_file():
        raise ValueError(
            f"{source} is an export without {TRUNK_FILE}, which is what is "
            "read here. Export the run again with --format=...,keras."
        )
    elif (path / run_directory.CONFIG_FILE).is_file():
        loaded = _load_run(path)
    else:
        loaded = _load_slim(source)
    digest = weights_digest(loaded.trunk)
    loaded = dataclasses.replace(loaded, source=source, digest=digest)
    if output_stride is None:
        return loaded
    return at_stride(loaded, output_stride)


def is_random(source: str) -> bool:
    """Says whether what a user names is a trunk that nobody trained."""
    return source.partition(":")[0] == RANDOM


def _check_strangers(folder: pathlib.Path, source: str) -> None:
    """Refuses to call the function that a stranger's settings name.

    Raises:
        ValueError: the trunk is of such a function.
    """
    if not (folder / run_directory.CONFIG_FILE).is_file():
        return
    name = run_directory.load_config(folder).trunk.family
    if families.is_own(name):
        raise ValueError(
            f"{source} has a trunk that the function {name} builds, which is "
            "not in it. Look at what is there, download it, and name its "
            f"folder; or load {TRUNK_FILE} in it with Keras."
        )


def at_stride(loaded: Pretrained, output_stride: int) -> Pretrained:
    """Returns the same weights, to be read at an output stride.

    Without block 4 where that does not go with the stride.

    Raises:
        ValueError: the trunk has no such stride, or other layers at it.
    """
    if output_stride == loaded.config.output_stride:
        return loaded
    config = dataclasses.replace(loaded.config, output_stride=output_stride)
    family = families.find_family(config.family)
    if families.is_own(config.family):
        # Whether its layers are the same at both strides, nobody else knows.
        trunk_lib.build_trunk(config, share=loaded.trunk)
    trunk = _rebuilt(loaded.trunk, trunk_lib.build_trunk(config))
    block4 = None
    if loaded.block4 and output_stride in family.block4_strides:
        block4 = _rebuilt(loaded.block4, _build_block4(config, trunk))
    return dataclasses.replace(
        loaded, trunk=trunk, block4=block4, config=config
    )


def weights_digest(model: keras.Model) -> str:
    """Returns the SHA-256 of a model's weights, in hexadecimal."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    return digest.hexdigest()


def _build_random(
    source: str, config: model_config.TrunkConfig | None, seed: int
) -> Pretrained:
    if config is None:
        raise ValueError(
            "A random trunk needs a shape: name the preset whose trunk it is "
            "to be compared with."
        )
    family = source.partition(":")[2]
    if family:
        # The preset's stride is its own trunk's; nobody has asked for it.
        stride = families.find_family(family).stride_up_to(config.output_stride)
        config = dataclasses.replace(
            config,
            family=family,
            depth=None,
            num_units=None,
            output_stride=stride,
        )
    keras.utils.set_random_seed(seed)
    trunk = trunk_lib.build_trunk(config)
    contract = input_contract.InputContract()
    return Pretrained(trunk, None, contract, config)


def _load_run(folder: pathlib.Path) -> Pretrained:
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"{folder} is a run, whose checkpoints Keras's TensorFlow back "
            f"end reads; this process has {keras.backend.backend()!r}. Name "
            "an export of it (python -m mtssl_tf.export)."
        )
    config = run_directory.load_config(folder)
    path = checkpoint.latest(folder)
    trunk = trunk_lib.build_trunk(config.trunk)
    checkpoint.restore_trunk(path, trunk)
    block4 = None
    if checkpoint.has_block4(path):
        block4 = _build_block4(config.trunk, trunk)
        checkpoint.restore_block4(path, block4)
    return Pretrained(
        trunk,
        block4,
        config.contract,
        config.trunk,
        preset=config.preset,
        mixes=_load_mixes(folder, checkpoint.step_of(path)),
    )


def _load_mixes(folder: pathlib.Path, step: int) -> dict[str, list[float]]:
    try:
        return metrics_log.load_mixes(folder, step)
    except FileNotFoundError:
        return {}


def _load_export(folder: pathlib.Path) -> Pretrained:
    config = run_directory.load_config(folder)
    record = export_record.load(folder)
    trunk = _load_keras(folder / TRUNK_FILE)
    if record.has_contract_inside:
        trunk = rgb_trunk.find_trunk(trunk)
    # Built anew: what is saved has Keras's own batch norm, which takes longer.
    trunk = _rebuilt(trunk, trunk_lib.build_trunk(config.trunk))
    block4 = None
    if (folder / BLOCK4_FILE).is_file():
        block4 = _load_keras(folder / BLOCK4_FILE)
        block4 = _rebuilt(block4, _build_block4(config.trunk, trunk))
    statistics = {}
    if (folder / export_record.STATISTICS_FILE).is_file():
        statistics = statistics_lib.load(folder / export_record.STATISTICS_FILE)
    return Pretrained(
        trunk,
        block4,
        config.contract,
        config.trunk,
        preset=config.preset,
        mixes=record.mixes,
        statistics=statistics,
    )


def _load_keras(path: pathlib.Path) -> keras.Model:
    keras_archive.check(path)
    try:
        return keras.saving.load_model(path)
    except Exception as error:  # whatever Keras trips on in a stranger's file
        raise ValueError(
            f"{path} cannot be read by Keras {keras.__version__}: {error}. "
            "Export it again."
        ) from error


def _load_slim(source: str) -> Pretrained:
    try:
        slim = slim_checkpoint.load_pretrained(source)
    except FileNotFoundError as error:
        # Most who get here meant a run or an export.
        raise FileNotFoundError(
            f"{source} is no run directory (it has no "
            f"{run_directory.CONFIG_FILE}), no export (no {TRUNK_FILE}), and "
            f"can't be read as a TF-Slim checkpoint: {error}"
        ) from error
    return Pretrained(slim.trunk, slim.block4, slim.contract, slim.config)


def _build_block4(
    config: model_config.TrunkConfig, trunk: keras.Model
) -> keras.Model:
    channels = trunk.output[max(trunk.output)].shape[-1]
    return trunk_lib.build_block4(config, channels=channels)


def _rebuilt(model: keras.Model, other: keras.Model) -> keras.Model:
    """Returns `other`, which differs in no variable, with `model`'s weights."""
    other.set_weights(model.get_weights())
    return other
