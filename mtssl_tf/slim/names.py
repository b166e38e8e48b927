"""TF-Slim's variable names: of our layers, and what a checkpoint's say.

A checkpoint is known here by its shapes, `{variable name: shape}`. Names look
like `resnet_v2_101/block3/unit_23/bottleneck_v2/conv2/BatchNorm/gamma`, or
`vgg_16/conv3/conv3_2/weights`; what stands before `conv1` and `block1` is the
scope.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import re

from mtssl_tf.lazy_imports import keras
from mtssl_tf.models import config as model_config
from mtssl_tf.models import families
from mtssl_tf.models import resnet_v2

Shapes = Mapping[str, tuple[int, ...]]

_LAYER = re.compile(
    r"block(\d)_unit_(\d+)_(preact|shortcut|conv[123])(_BatchNorm)?"
)
_VARIABLES = {"kernel": "weights", "bias": "biases"}
# Every unit of every depth has this variable.
_UNIT_KERNEL = "bottleneck_v2/conv1/weights"
# By it a ResNet is known.
_RESNET_MARKER = f"/block1/unit_1/{_UNIT_KERNEL}"
# What else TF-Slim has: name of the family -> its form there.
_FORMS = {
    name: family.slim
    for name, family in families.FAMILIES.items()
    if family.slim
}
# Suffixes that optimizers of TensorFlow 1 give to their slots.
_SLOT = re.compile(r"/(RMSProp|Momentum|Adam|Adagrad|Adadelta|Ftrl)(_\d+)?$")


def slim_variables(model: keras.Model, scope: str) -> dict[str, keras.Variable]:
    """Returns the variables of a trunk or block 4 by TF-Slim's names.

    Raises:
        ValueError: the model holds a layer that TF-Slim's networks lack.
    """
    variables = {}
    for layer in model.layers:
        for variable in layer.weights:
            name = _VARIABLES.get(variable.name, variable.name)
            variables[f"{scope}/{_slim_layer(layer.name)}/{name}"] = variable
    return variables


def _slim_layer(name: str) -> str:
    """Translates 'block3_unit_2_conv1_BatchNorm', 'conv5_3' and their like."""
    if name in ("conv1", "postnorm"):
        return name
    for form in _FORMS.values():
        if found := form.layer(name):
            return found
    match = _LAYER.fullmatch(name)
    if match is None:
        raise ValueError(
            f"Layer {name!r} has no counterpart in TF-Slim's networks. Pass a "
            f"trunk of trunk.family={' or '.join([families.DEFAULT, *_FORMS])}"
            ", or block 4 of the first."
        )
    block, unit, layer, norm = match.groups()
    slim = f"block{block}/unit_{unit}/bottleneck_v2/{layer}"
    return f"{slim}/BatchNorm" if norm else slim


def default_scope(trunk: keras.Model) -> str:
    """Returns the scope that TF-Slim gives to a trunk of this depth."""
    names = [layer.name for layer in trunk.layers]
    for form in _FORMS.values():
        if any(map(form.layer, names)):
            return form.scope
    units = tuple(
        sum(
            re.fullmatch(rf"block{block}_unit_\d+_conv1", name) is not None
            for name in names
        )
        for block in (1, 2, 3)
    )
    for depth, num_units in resnet_v2.UNITS_BY_DEPTH.items():
        if units == num_units:
            return f"resnet_v2_{depth}"
    return "resnet_v2"


def find_scope(shapes: Shapes) -> str:
    """Returns the scope of the one trunk that a checkpoint holds.

    Raises:
        ValueError: it holds none, or several.
    """
    markers = [_RESNET_MARKER, *(f"/{f.first_kernel}" for f in _FORMS.values())]
    scopes = sorted(
        name.removesuffix(marker)
        for marker in markers
        for name in shapes
        if name.endswith(marker)
    )
    if not scopes:
        scopes = ["resnet_v2_101", *(form.scope for form in _FORMS.values())]
        expected = " or ".join(
            f"{scope}{marker}" for scope, marker in zip(scopes, markers)
        )
        raise ValueError(
            "Expected a network of TF-Slim, with a variable "
            f"{expected}, or the same under another scope. The checkpoint "
            f"holds {_some(shapes)}."
        )
    if len(scopes) > 1:
        raise ValueError(
            f"The checkpoint holds {len(scopes)} trunks, {scopes}. Name the "
            "one to load as scope."
        )
    return scopes[0]


def _some(shapes: Shapes) -> str:
    names = sorted(shapes)
    shown = ", ".join(repr(name) for name in names[:3]) or "none"
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} variables: {shown}{more}"


def recognise_config(
    shapes: Shapes, scope: str, output_stride: int
) -> model_config.TrunkConfig:
    """Reads a trunk's family, depth and width off a checkpoint's shapes."""
    for name, form in _FORMS.items():
        if f"{scope}/{form.first_kernel}" in shapes:
            return _recognise_form(shapes, scope, output_stride, name)
    one, two, three = (_count_units(shapes, scope, b) for b in (1, 2, 3))
    num_units = (one, two, three)
    depths = {units: depth for depth, units in resnet_v2.UNITS_BY_DEPTH.items()}
    width = _read_root_channels(shapes, scope) / resnet_v2.ROOT_CHANNELS
    config = model_config.TrunkConfig(
        num_units=num_units, width=width, output_stride=output_stride
    )
    if num_units in depths:
        depth = depths[num_units]
        config = dataclasses.replace(config, depth=depth, num_units=None)
    return config


def _recognise_form(
    shapes: Shapes, scope: str, output_stride: int, name: str
) -> model_config.TrunkConfig:
    family, form = families.FAMILIES[name], _FORMS[name]
    own = [each.removeprefix(f"{scope}/") for each in shapes]
    num_units = form.num_units(own)
    if num_units not in family.num_units.values():
        expected = " or ".join(map(str, family.num_units.values()))
        raise ValueError(
            f"Expected {expected} convolutions in the stages of {scope}, found "
            f"{num_units}. The checkpoint is incomplete or of another network."
        )
    channels = shapes[f"{scope}/{form.first_kernel}"][-1]
    return model_config.TrunkConfig(
        width=channels / family.width_parts,
        output_stride=output_stride,
        family=name,
    )


def has_block4(shapes: Shapes, scope: str) -> bool:
    """Says whether a checkpoint holds block 4."""
    return bool(_units(shapes, scope, 4))


def _units(shapes: Shapes, scope: str, block: int) -> set[int]:
    pattern = re.compile(
        rf"{re.escape(scope)}/block{block}/unit_(\d+)/{_UNIT_KERNEL}"
    )
    matches = (pattern.fullmatch(name) for name in shapes)
    return {int(match[1]) for match in matches if match}


def _count_units(shapes: Shapes, scope: str, block: int) -> int:
    units = _units(shapes, scope, block)
    missing = set(range(1, max(units, default=1) + 1)) - units
    if missing:
        raise ValueError(
            f"Block {block} lacks '{scope}/block{block}/unit_{min(missing)}/"
            f"{_UNIT_KERNEL}'. The checkpoint is incomplete."
        )
    return len(units)


def _read_root_channels(shapes: Shapes, scope: str) -> int:
    name = f"{scope}/conv1/weights"
    shape = shapes.get(name)
    if shape is None or len(shape) != 4:
        raise ValueError(
            f"Expected a kernel {name!r} of shape (7, 7, 3, 64), got {shape}. "
            "The checkpoint is incomplete or of another architecture."
        )
    return shape[-1]


def is_trunk_variable(name: str, scope: str) -> bool:
    """Says whether a trunk's units depend on this variable."""
    if _SLOT.search(name) or name.endswith("/ExponentialMovingAverage"):
        return False
    pattern = rf"{re.escape(scope)}/(conv\d|block[123])/"
    return re.match(pattern, name) is not None


def why_left_over(name: str, scope: str) -> str:
    """Says why a variable of a checkpoint was not loaded."""
    if _SLOT.search(name):
        return "an optimizer's slot"
    if name.endswith("/ExponentialMovingAverage"):
        return "a moving average of another variable"
    if name.split("/")[-1] in ("global_step", "beta1_power", "beta2_power"):
        return "a counter of the training"
    if not name.startswith(f"{scope}/"):
        return f"outside of {scope}"
    if is_trunk_variable(name, scope):
        return "a layer that this trunk lacks"
    if name.startswith((f"{scope}/block4/", f"{scope}/postnorm/")):
        return "block 4, which was not asked for"
    return "after the trunk and block 4"
