"""Loads a trunk from TF-Slim's checkpoints, and saves it as one.

The paper's weights (google-deepmind/multiself) and ImageNet's (TF-Slim's
resnet_v2_50, _101 and _152) exist only in this form; vgg_16 is read, too,
through its last convolution.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
import contextlib
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np

from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.process import atomic_file
from mtssl_tf.process import paths
from mtssl_tf.slim import archive
from mtssl_tf.slim import contract as contract_lib
from mtssl_tf.slim import load_report
from mtssl_tf.slim import names as names_lib


class SlimTrunk(NamedTuple):
    """A TF-Slim checkpoint as models."""

    trunk: keras.Model
    block4: keras.Model | None
    config: model_config.TrunkConfig
    contract: input_contract.InputContract


def load(
    trunk: keras.Model,
    path: str | os.PathLike,
    *,
    block4: keras.Model | None = None,
    scope: str | None = None,
    partial: Collection[str] = (),
) -> load_report.LoadReport:
    """Loads a TF-Slim checkpoint into a trunk, and into block 4 if given.

    Nothing is assigned before everything is read and checked.

    Args:
        trunk: from `build_trunk`, of the checkpoint's depth and width.
        path: a V2 prefix, a V1 file, a directory or a .tar.gz.
        block4: from `build_block4`.
        scope: what stands before `conv1` in the checkpoint's names; needed
            only if it holds several trunks.
        partial: variables or layers, such as "block3/unit_23", that may be
            missing here or there.

    Returns:
        What was loaded, missing and left over.

    Raises:
        FileNotFoundError: there is no checkpoint at `path`.
        ValueError: it is damaged, of another shape or holds values that are
            no weights; the message names the variable.
    """
    with archive.open_checkpoint(path) as prefix, _open(prefix) as reader:
        return _load(reader, _drop_none(trunk, block4), scope, partial)


def load_pretrained(
    path: str | os.PathLike,
    output_stride: int = 16,
    *,
    contract: input_contract.InputContract | None = None,
    scope: str | None = None,
    partial: Collection[str] = (),
) -> SlimTrunk:
    """Builds the trunk that a TF-Slim checkpoint holds, and loads it.

    Args:
        path: as in `load`.
        output_stride: of the trunk.
        contract: what the weights expect of pictures; may be left out only
            where `save` wrote it beside the checkpoint.
        scope: as in `load`.
        partial: as in `load`.

    Returns:
        The trunk, of the depth and width that the variables have; block 4 if
        the checkpoint has it.

    Raises:
        FileNotFoundError, ValueError: as `load`; or the contract is unknown.
    """
    return load_with_report(path, output_stride, contract, scope, partial)[0]


def load_with_report(
    path: str | os.PathLike,
    output_stride: int,
    contract: input_contract.InputContract | None,
    scope: str | None,
    partial: Collection[str],
) -> tuple[SlimTrunk, load_report.LoadReport]:
    """Does as `load_pretrained`, and tells what became of each variable."""
    with archive.open_checkpoint(path) as prefix, _open(prefix) as reader:
        contract = contract_lib.resolve_contract(prefix, contract)
        shapes = reader.get_variable_to_shape_map()
        scope = scope or names_lib.find_scope(shapes)
        config = names_lib.recognise_config(shapes, scope, output_stride)
        trunk = trunk_lib.build_trunk(config)
        block4 = None
        if names_lib.has_block4(shapes, scope):
            block4 = trunk_lib.build_block4(config)
        report = _load(reader, _drop_none(trunk, block4), scope, partial)
    return SlimTrunk(trunk, block4, config, contract), report


def save(
    trunk: keras.Model,
    path: str | os.PathLike,
    *,
    block4: keras.Model | None = None,
    scope: str | None = None,
    contract: input_contract.InputContract | None = None,
):
    """Writes a trunk as a V2 checkpoint that TF-Slim's Saver restores.

    Args:
        trunk: from `build_trunk`.
        path: the checkpoint's prefix; its folder is made.
        block4: from `build_block4`.
        scope: what stands before `conv1`; None is TF-Slim's for the depth.
        contract: what the trunk expects of pictures, written beside it so
            that it can be loaded again without naming it.

    Raises:
        ValueError: a weight is not finite; nothing is written.
    """
    scope = scope or names_lib.default_scope(trunk)
    models = _drop_none(trunk, block4)
    arrays = {
        name: keras.ops.convert_to_numpy(variable)
        for name, variable in _variables(models, scope).items()
    }
    for name, array in arrays.items():
        _check_values(name, array)
    prefix = pathlib.Path(path)
    with atomic_file.scratch_folder(prefix) as folder:
        new = folder / prefix.name
        tf.raw_ops.SaveV2(
            prefix=str(new),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=list(arrays.values()),
        )
        if contract is not None:
            contract_lib.save_contract(contract, new)
        # The index comes last: without it there is no checkpoint.
        for file in sorted(new.parent.iterdir(), key=_is_index):
            atomic_file.move(file, prefix.parent / file.name)


def _is_index(path: pathlib.Path) -> bool:
    return path.suffix == ".index"


def _drop_none(*models: keras.Model | None) -> list[keras.Model]:
    return [model for model in models if model is not None]


def _variables(
    models: Iterable[keras.Model], scope: str
) -> dict[str, keras.Variable]:
    variables = {}
    for model in models:
        variables.update(names_lib.slim_variables(model, scope))
    return variables


def _reading_errors() -> tuple[type[Exception], ...]:
    """What TensorFlow's reader raises where a file is damaged."""
    # It takes as much memory as the file claims to need.
    return (tf.errors.OpError, RuntimeError, IndexError, MemoryError)


@contextlib.contextmanager
def _open(prefix: pathlib.Path) -> Iterator[Any]:
    """Gives TensorFlow's reader, which knows V1 and V2."""
    with paths.without_pattern(prefix.parent) as folder:
        try:
            reader = tf.train.load_checkpoint(f"{folder}/{prefix.name}")
        except _reading_errors() as error:
            raise ValueError(
                f"Can't read {prefix.name!r} as a TF-Slim checkpoint: {error}. "
                "It is damaged, cut short or something else."
            ) from error
        yield reader


def _load(
    reader: Any,
    models: list[keras.Model],
    scope: str | None,
    partial: Collection[str],
) -> load_report.LoadReport:
    found = {
        name: tuple(shape)
        for name, shape in reader.get_variable_to_shape_map().items()
    }
    scope = scope or names_lib.find_scope(found)
    variables = _variables(models, scope)
    wanted = {name: tuple(v.shape) for name, v in variables.items()}
    report = load_report.compare(wanted, found, scope, partial)
    arrays = _read(reader, report.matched)
    for name, array in arrays.items():
        variables[name].assign(array)
    return report


def _read(reader: Any, names: Iterable[str]) -> Mapping[str, np.ndarray]:
    """Reads variables as float32; raises ValueError naming a bad one."""
    arrays = {}
    for name in names:
        try:
            array = np.asarray(reader.get_tensor(name))
        except _reading_errors() as error:
            raise ValueError(
                f"Can't read variable {name!r}: {error}. The checkpoint is "
                "damaged or cut short; fetch it again."
            ) from error
        if array.dtype.kind not in "fV":  # V: bfloat16
            raise ValueError(
                f"Variable {name!r} is of type {array.dtype}, expected float."
            )
        array = array.astype(np.float32)
        _check_values(name, array)
        arrays[name] = array
    return arrays


def _check_values(name: str, array: np.ndarray):
    """Raises ValueError if these can't be weights."""
    num_bad = int(np.size(array) - np.isfinite(array).sum())
    if num_bad:
        raise ValueError(
            f"Variable {name!r} holds {num_bad} values that are NaN or "
            f"infinite, of {np.size(array)}. The training that made it failed."
        )
    if name.endswith("/moving_variance") and np.min(array) < 0:
        raise ValueError(
            f"Variable {name!r} holds a negative variance, {np.min(array)}."
        )
