"""A family of one's own: `--set trunk.family=MODULE:FUNCTION`.

The function is given the `TrunkConfig` and returns a functional Keras model,
float32 [B, None, None, 3] to a dict of units. Sorted by name they must be in
depth order, as Keras sorts them too; here they are called `unit_01` to
`unit_NN`. The last one has the config's `output_stride`, or the function
raises ValueError. Models of several output strides share their weights: they
must have the same layers in the same order, which may differ only in the
stride, dilation and padding of a Conv2D.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import importlib
import pathlib
import traceback
from typing import Any, TYPE_CHECKING

from mtssl_tf.lazy_imports import keras
from mtssl_tf.models import family as family_lib

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

    from mtssl_tf.models import layers as layers_lib

SEPARATOR = ":"
# Whatever another's code trips on; it may also end the process.
_ANY_ERROR = (Exception, SystemExit)
_LIBRARIES = {"keras", "tensorflow"}
_STRIDES = (8, 16, 32)
_PROBE_PX = 128  # any multiple of the largest stride, of several places


def make_family(name: str) -> family_lib.Family:
    """Returns the family of a function; imports nothing yet.

    Raises:
        ValueError: the name is not of the form MODULE:FUNCTION.
    """
    module, _, function = name.partition(SEPARATOR)
    parts = [*module.split("."), function]
    if not all(part.isidentifier() for part in parts):
        raise ValueError(
            f"family={name!r} is not of the form MODULE:FUNCTION, as "
            "my_package.my_trunks:build_trunk."
        )
    return family_lib.Family(
        title=name,
        units_are="the outputs of its function, shallowest first",
        output_strides=_STRIDES,
        build_units=functools.partial(_build_units, name),
        build_block4=_build_block4,
    )


def load_function(name: str) -> Callable[[Any], Any]:
    """Imports MODULE and returns its FUNCTION.

    Raises:
        ValueError: it does not import, or there is no such function in it.
    """
    path, _, function = name.partition(SEPARATOR)
    try:
        module = importlib.import_module(path)
    except _ANY_ERROR as error:
        is_absent = isinstance(error, ModuleNotFoundError) and (
            path == error.name or path.startswith(f"{error.name}.")
        )
        remedy = " Is its folder on PYTHONPATH?" if is_absent else ""
        raise ValueError(
            f"trunk.family={name}: {path} does not import: "
            f"{_one_line(error)}.{remedy}"
        ) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise ValueError(
            f"trunk.family={name}: {path} has no function {function!r}. Name "
            "one that takes a TrunkConfig and returns a Keras model."
        )
    return found


def _build_units(
    name: str, shape: family_lib.Shape, layers: layers_lib.TrunkLayers
) -> tuple[Tensor, dict[str, Tensor]]:
    """Calls the function; returns its input and units under our names."""
    function = load_function(name)
    with layers.as_default_dtype():
        model = _checked(name, _call(name, function, shape))
        _check_can_be_saved(name, model)
    image, outputs = layers.take_in(model)
    units = {
        f"unit_{number:02d}": outputs[key]
        for number, key in enumerate(sorted(outputs), start=1)
    }
    _check_depths(name, image, outputs)
    _check_stride(name, image, units, shape.output_stride)
    return image, units


def _call(name: str, function: Callable[[Any], Any], shape: Any) -> Any:
    try:
        return function(shape)
    except _ANY_ERROR as error:
        # Behind our own call, and before what Keras does.
        frames = [
            each
            for each in traceback.extract_tb(error.__traceback__)[1:]
            if not _LIBRARIES.intersection(pathlib.Path(each.filename).parts)
        ]
        where = "failed"
        if frames:
            where += f" in {frames[-1].filename}:{frames[-1].lineno}"
        raise ValueError(
            f"trunk.family={name}, called with a TrunkConfig of output_stride="
            f"{shape.output_stride}, {where}: {_one_line(error)}."
        ) from error


def _checked(name: str, model: Any) -> keras.Model:
    """Returns a model if it is one that can be a trunk.

    Raises:
        ValueError: it is not functional, or its input or outputs are others.
    """
    wanted = (
        f"trunk.family={name} must return a functional Keras model from one "
        "input [None, None, 3] to a dict of units [h, w, C]"
    )
    if not isinstance(model, keras.Model) or not hasattr(model, "output"):
        raise ValueError(f"{wanted}; got {type(model).__name__}.")
    if not isinstance(model.output, dict) or not model.output:
        kind = type(model.output).__name__
        raise ValueError(f"{wanted}; its output is of type {kind}.")
    for key, unit in model.output.items():
        if not isinstance(key, str) or not hasattr(unit, "shape"):
            raise ValueError(
                f"{wanted}; its output {key!r} is of type "
                f"{type(unit).__name__}, and names are text."
            )
    inputs = [tuple(each.shape) for each in model.inputs]
    if inputs != [(None, None, None, 3)]:
        raise ValueError(f"{wanted}; its inputs are {inputs}.")
    shapes = {key: tuple(each.shape) for key, each in model.output.items()}
    if any(len(shape) != 4 or shape[-1] is None for shape in shapes.values()):
        raise ValueError(f"{wanted}; its outputs are {shapes}.")
    if not model.trainable_weights:
        raise ValueError(
            f"trunk.family={name} has nothing to train. Leave its layers "
            "trainable; --set train.freeze_trunk=true trains heads alone."
        )
    return model


def _check_can_be_saved(name: str, model: keras.Model) -> None:
    """Raises ValueError where an export could not be loaded again."""
    try:
        keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(model)
        )
    except _ANY_ERROR as error:
        raise ValueError(
            f"trunk.family={name} could be saved, but not loaded again: "
            f"{_one_line(error)}. Use keras.ops in place of a Lambda, and "
            "keras.saving.register_keras_serializable for layers of your own."
        ) from error


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".: ")


def _check_depths(name: str, image: Tensor, outputs: dict[str, Tensor]) -> None:
    """Raises ValueError where sorted names are not in depth order."""
    depths = {
        key: len(keras.Model(image, outputs[key]).layers)
        for key in sorted(outputs)
    }
    if list(depths.values()) != sorted(depths.values()):
        raise ValueError(
            f"trunk.family={name} has units whose names, sorted, are not in "
            f"depth order: layers up to each are {depths}. Name them unit_01, "
            "unit_02 and so on."
        )


def _check_stride(
    name: str, image: Tensor, units: dict[str, Tensor], wanted: int
) -> None:
    """Raises ValueError where the last unit has another stride."""
    model = keras.Model(image, units[max(units)])
    places = model.compute_output_shape((1, _PROBE_PX, _PROBE_PX, 3))[1]
    if places != _PROBE_PX // wanted:
        raise ValueError(
            f"trunk.family={name} was asked for output_stride={wanted}, "
            f"{_PROBE_PX // wanted} places of {_PROBE_PX} pixels, and its "
            f"last unit has {places}. Follow config.output_stride, or raise "
            "ValueError where it can't be had."
        )


def _build_block4(
    shape: family_lib.Shape,
    features: Tensor,
    first_stride: int,
    layers: layers_lib.TrunkLayers,
) -> Tensor:
    """Two 3 x 3 convolutions, [B, h, w, C] to [B, h', w', 2 * C] (ours)."""
    channels = 2 * features.shape[-1]
    rate = 1 if first_stride == 2 else 32 // shape.output_stride
    x = layers.norm_relu(features, "block4_preact")
    x = layers.conv_norm_relu(
        x, "block4_conv1", channels, 3, stride=first_stride
    )
    return layers.conv_norm_relu(x, "block4_conv2", channels, 3, rate=rate)
