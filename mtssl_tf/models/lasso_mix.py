"""A sparse, unit-norm combination of a trunk's units.

Section 3.2 of the paper: a task reads sum_m alpha_m * unit_m, where alpha has
L2 norm 1 (so that the output's variance stays put) and an L1 penalty (so that
it becomes sparse). Deviations and additions, all ours:

- The penalty is put on the *normalised* vector. On the raw one it only
  shrinks the norm, and nothing becomes sparse.
- Gradient steps never reach an exact zero. `proximal_step` does, by
  soft-thresholding after the optimizer's step.
- A group penalty over runs of neighbouring units (suggested in the paper's
  section 7) switches whole runs off together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import keras
from keras import ops
import numpy as np

from mtssl_tf.models import config as model_config

_DEFAULTS = model_config.LassoConfig()


class _MixPenalty(keras.regularizers.Regularizer):
    """L1 and group penalty of the normalised vector."""

    def __init__(self, l1: float, group_l1: float, group_size: int):
        self.l1 = l1
        self.group_l1 = group_l1
        self.group_size = group_size

    def __call__(self, x):
        weights = _unit_norm(ops.convert_to_tensor(x))
        penalty = self.l1 * ops.sum(ops.abs(weights))
        if self.group_l1:
            groups = _group_matrix(weights.shape[0], self.group_size)
            penalty += self.group_l1 * ops.sum(
                _group_scales(groups) * _group_norms(weights, groups)
            )
        return penalty

    def get_config(self) -> dict[str, Any]:
        return {
            "l1": self.l1,
            "group_l1": self.group_l1,
            "group_size": self.group_size,
        }


class _UnitNorm(keras.constraints.Constraint):
    """Keras optimizers apply it after their step.

    The mix does not depend on the raw norm, but the size of a step on it
    does, and RMSProp with momentum was seen to shrink it without end.
    """

    def __call__(self, w):
        return _unit_norm(ops.convert_to_tensor(w))


def check_shapes(input_shape: Any) -> dict[str, tuple]:
    """Checks that units can be mixed; returns their shapes by name.

    Args:
        input_shape: of each unit, as a Keras layer's `build` gets it.

    Raises:
        ValueError: there are less than two, or they differ in shape.
    """
    shapes = _shapes_by_unit(input_shape)
    if len(shapes) < 2:
        raise ValueError(
            f"LassoMix needs two units of one shape or more, got {shapes}. "
            "Leave --lasso out, or choose a trunk of more units "
            "(trunk.num_units)."
        )
    if len(set(shapes.values())) != 1:
        raise ValueError(
            "LassoMix needs units of one shape so that they can be summed. "
            f"Got {shapes}. Leave --lasso out, or choose another trunk.family "
            "or output stride: at 32 the last unit of a ResNet is half the "
            "others' size."
        )
    return shapes


@keras.saving.register_keras_serializable(package="mtssl_tf")
class LassoMix(keras.layers.Layer):
    """Sums units of one shape, weighted by a learned vector of norm 1.

    Units come as a dict, read by name in sorted order (zero-padded names
    make that depth order), or as a list in depth order. The weights start
    equal. They are float32 whatever the layer computes in.

        >>> mix = LassoMix(l1=0.01)
        >>> y = mix({"unit_01": x1, "unit_02": x2})  # [B, h, w, C]
        >>> mix.mixing_weights()
        array([0.70710677, 0.70710677], dtype=float32)

    Args:
        l1: see `LassoConfig`, as are the next three.
        group_l1: weight of the group penalty.
        group_size: units in a group.
        proximal: promises a call of `proximal_step` after every optimizer
            step; `losses` is then empty, so that nothing is counted twice.
            Off here, since a bare layer must work in any training loop.
    """

    def __init__(
        self,
        l1: float = _DEFAULTS.l1,
        group_l1: float = _DEFAULTS.group_l1,
        group_size: int = _DEFAULTS.group_size,
        proximal: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.lasso = model_config.LassoConfig(
            l1, group_l1, group_size, proximal
        )
        self.unit_names: tuple[str, ...] = ()

    def build(self, input_shape) -> None:
        """Creates one weight a unit.

        Raises:
            ValueError: there are less than two, or they differ in shape.
        """
        shapes = check_shapes(input_shape)
        self.unit_names = tuple(shapes)
        settings = self.lasso
        penalty = _MixPenalty(
            settings.l1, settings.group_l1, settings.group_size
        )
        self.raw_weights = self.add_weight(
            shape=(len(shapes),),
            initializer=keras.initializers.Constant(len(shapes) ** -0.5),
            regularizer=None if settings.proximal else penalty,
            constraint=_UnitNorm(),
            # bfloat16 could neither hold the norm to 1e-6 nor take a step.
            dtype="float32",
            autocast=False,
            # Replicas agree already; assigning in one asks how to merge.
            aggregation="mean",
            name="raw_weights",
        )
        self.built = True

    def call(self, units: Mapping[str, Any] | Sequence[Any]) -> Any:
        """Mixes.

        Args:
            units: dict or list of N float tensors [B, h, w, C].

        Returns:
            float [B, h, w, C] in the layer's compute dtype.
        """
        features = _in_depth_order(units)
        weights = ops.cast(
            _unit_norm(ops.convert_to_tensor(self.raw_weights)),
            self.compute_dtype,
        )
        return _weighted_sum(weights, *features)  # [B, h, w, C]

    def compute_output_shape(self, input_shape):
        return next(iter(_shapes_by_unit(input_shape).values()))

    def mixing_weights(self) -> np.ndarray:
        """The mix as float32 [N] of norm 1, in depth order."""
        raw = ops.convert_to_numpy(self.raw_weights).astype(np.float64)
        return (raw / np.linalg.norm(raw)).astype(np.float32)

    def num_units_off(self, threshold: float = 0.0) -> int:
        """Number of units whose weight is at most `threshold` in size."""
        return int(np.sum(np.abs(self.mixing_weights()) <= threshold))

    def proximal_step(self, learning_rate: Any) -> None:
        """Soft-thresholds by the penalties, then renormalises.

        Call it after the optimizer's step. The strongest unit always stays.

        Args:
            learning_rate: float, or float32 [N] where the optimizer scales
                its steps weight by weight: a threshold that does not follow
                that scale is swamped by the steps (RMSProp's is
                learning_rate / sqrt(velocity + epsilon)).

        Raises:
            ValueError: the penalties are in `losses` already.
        """
        settings = self.lasso
        if not settings.proximal:
            raise ValueError(
                f"{self.name} has its penalties in `losses`; a proximal step "
                "would count them twice. Build it with proximal=True."
            )
        weights = _unit_norm(ops.convert_to_tensor(self.raw_weights))
        step = ops.cast(learning_rate, "float32")
        shrunk = ops.sign(weights) * ops.relu(
            ops.abs(weights) - step * settings.l1
        )
        if settings.group_l1:
            shrunk = _shrink_groups(
                shrunk, step * settings.group_l1, settings.group_size
            )
        strongest = ops.one_hot(
            ops.argmax(ops.abs(weights)), weights.shape[0], dtype="float32"
        )
        is_all_off = ops.max(ops.abs(shrunk)) == 0.0
        shrunk = ops.where(is_all_off, strongest * weights, shrunk)
        self.raw_weights.assign(_unit_norm(shrunk))

    def get_config(self) -> dict[str, Any]:
        settings = self.lasso
        return {
            **super().get_config(),
            "l1": settings.l1,
            "group_l1": settings.group_l1,
            "group_size": settings.group_size,
            "proximal": settings.proximal,
        }


@ops.custom_gradient
def _weighted_sum(weights, *features):
    """Sums float [N] times N tensors [B, h, w, C].

    One by one: a stack would copy all units. And with a gradient of its own:
    the derived one keeps a product of this size for every weight.
    """
    mixed = features[0] * weights[0]
    for index in range(1, len(features)):
        mixed = mixed + features[index] * weights[index]

    def gradient(*args, upstream=None):
        if upstream is None:  # Keras's back ends differ in how they call.
            (upstream,) = args
        flat = ops.reshape(upstream, (1, -1))
        weight_gradients = [
            ops.matmul(flat, ops.reshape(unit, (-1, 1)))[0, 0]
            for unit in features
        ]
        unit_gradients = [
            upstream * weights[index] for index in range(len(features))
        ]
        return (ops.stack(weight_gradients), *unit_gradients)

    return mixed, gradient


def _in_depth_order(units) -> list:
    if isinstance(units, dict):
        return [units[name] for name in sorted(units)]
    return list(units)


def _shapes_by_unit(input_shape) -> dict[str, tuple]:
    if isinstance(input_shape, dict):
        return {name: tuple(input_shape[name]) for name in sorted(input_shape)}
    return {
        f"unit_{index:02d}": tuple(shape)
        for index, shape in enumerate(input_shape, start=1)
    }


def _unit_norm(weights):
    """Scales float32 [N] to norm 1."""
    return weights / ops.sqrt(ops.sum(ops.square(weights)))


def _group_matrix(num_units: int, group_size: int) -> np.ndarray:
    """float32 [groups, N]: 1 where a unit is in a group, else 0."""
    group = np.arange(num_units) // group_size
    return (np.arange(group[-1] + 1)[:, None] == group).astype(np.float32)


def _group_scales(groups: np.ndarray) -> np.ndarray:
    """sqrt(size): a group's penalty must not fall as it grows."""
    return np.sqrt(groups.sum(axis=1))


def _group_norms(weights, groups: np.ndarray):
    # A square root has no gradient at 0; this floor is below float32's step.
    squares = ops.matmul(groups, ops.square(weights)[:, None])[:, 0]
    return ops.sqrt(squares + 1e-14)  # [groups]


def _shrink_groups(weights, threshold, group_size: int):
    """Scales every group towards 0 by `threshold` times sqrt(its size).

    Where the optimizer scales its steps weight by weight a group takes the
    mean of its weights' thresholds: one number must scale it.
    """
    groups = _group_matrix(weights.shape[0], group_size)
    sizes = groups.sum(axis=1)
    per_weight = ops.broadcast_to(threshold, (weights.shape[0],))
    per_group = ops.matmul(groups, per_weight[:, None])[:, 0] / sizes
    scales = ops.relu(
        1.0 - per_group * _group_scales(groups) / _group_norms(weights, groups)
    )
    return weights * ops.matmul(groups.T, scales[:, None])[:, 0]


def build(lasso: model_config.LassoConfig, **layer: Any) -> LassoMix:
    """Returns a mix with these options; `layer` as every layer takes them."""
    return LassoMix(**dataclasses.asdict(lasso), **layer)
