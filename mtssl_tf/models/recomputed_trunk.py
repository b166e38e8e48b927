"""A trunk that keeps less for the backward pass, and computes it again there.

Of each unit of block 3 only the input is kept. What is within it is made a
second time when its gradient is due. The numbers stay as they are but for
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras

from mtssl_tf.lazy_imports import tf

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


class RecomputedTrunk:
    """Computes what a trunk does in training, on the trunk's own variables.

    Attributes:
        stem: conv1 to block 2, whose inside is kept.
        units: block 3's by name, in depth order, each a model of its own.
    """

    def __init__(self, trunk: keras.Model) -> None:
        """Takes a trunk of `build_trunk` apart; it stays as it is."""
        x = _block3_input(trunk)
        self.stem = keras.Model(trunk.input, x)
        self.units: dict[str, keras.Model] = {}
        for name, output in sorted(trunk.output.items()):
            self.units[name] = keras.Model(x, output)
            x = output

    def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the units as the trunk does with `training=True`.

        Batch norm's moving statistics are updated once.

        Args:
            image: float32 [B, H, W, 3].
        """
        x = self.stem(image, training=True)
        units = {}
        for name, unit in self.units.items():
            x = _computed_twice(unit, x)
            units[name] = x
        return units


def _block3_input(trunk: keras.Model) -> Tensor:
    """Returns where block 2 ends, within a trunk's graph."""
    ends = [
        layer
        for layer in trunk.layers
        if isinstance(layer, keras.layers.Add)
        and layer.name.startswith("block2_")
    ]
    return ends[-1].output


def _computed_twice(unit: keras.Model, x: tf.Tensor) -> tf.Tensor:
    """Applies a unit in training; its inside is not kept."""
    num_trained = len(unit.trainable_variables)

    def compute(x: tf.Tensor, values: Sequence[tf.Tensor]) -> tuple:
        # Without side effects, or statistics would be updated twice.
        y, others = unit.stateless_call(
            values[:num_trained], values[num_trained:], x, training=True
        )
        pairs = zip(others, values[num_trained:])
        return y, {
            index: new
            for index, (new, old) in enumerate(pairs)
            if new is not old
        }

    @tf.custom_gradient
    def apply(x: tf.Tensor, *values: tf.Tensor) -> tuple:
        def compute_gradient(upstream: tf.Tensor, *_: tf.Tensor) -> list:
            # Not before it is due: all that is needed is there already, and
            # TensorFlow would compute and keep it at once.
            with tf.control_dependencies([upstream]):
                again = tf.identity(x)
            with tf.GradientTape() as tape:
                tape.watch([again, *values])
                y, _ = compute(again, values)
            return tape.gradient(y, [again, *values], upstream)

        return compute(x, values), compute_gradient

    variables = unit.trainable_variables + unit.non_trainable_variables
    y, updated = apply(
        x, *(tf.convert_to_tensor(each.value) for each in variables)
    )
    for index, new in updated.items():
        unit.non_trainable_variables[index].assign(new)
    return y
