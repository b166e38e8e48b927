"""Trunk, mix and head of one task as one Keras model."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
from typing import Any

import keras

from mtssl_tf.models import config as model_config
from mtssl_tf.models import lasso_mix
from mtssl_tf.models import recomputed_trunk
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.tasks import base


@dataclasses.dataclass(frozen=True)
class TaskModel:
    """What trains one task.

    Attributes:
        model: float32 [B * V, h, w, 3] -> the task's prediction.
        head: mix (where there is one) and head: block-3 units -> prediction.
        mix: the task's lasso mix, or None where it reads the last unit.
        recomputed: the trunk as training computes it where memory is short;
            None where it keeps all for the backward pass.
    """

    model: keras.Model
    head: keras.Model
    mix: lasso_mix.LassoMix | None
    recomputed: recomputed_trunk.RecomputedTrunk | None = None

    def predict_in_training(self, images: Any) -> Any:
        """Returns `model(images, training=True)`, by way of `recomputed`."""
        if self.recomputed is None:
            return self.model(images, training=True)
        return self.head(self.recomputed(images), training=True)

    def moving_statistics(self) -> list[Any]:
        """Returns those of batch norm, which steps move and no gradient does.

        Other variables that are not trained, as seeds, are no float32.
        """
        return [
            variable.value
            for variable in self.model.non_trainable_variables
            if variable.dtype == "float32"
        ]

    def mixing_weights(self) -> list[float] | None:
        """Returns the mix in depth order, N weights; None without one."""
        if self.mix is None:
            return None
        return self.mix.mixing_weights().tolist()


class TrunkAtStrides:
    """One trunk, read at several output strides with the same weights."""

    def __init__(self, config: model_config.TrunkConfig, dtype: str) -> None:
        """Builds the trunk; `dtype` as in `build_trunk`."""
        self.trunk = trunk_lib.build_trunk(config, dtype=dtype)
        self._config = config
        self._by_stride = {config.output_stride: self.trunk}
        self._recomputed: dict[int, recomputed_trunk.RecomputedTrunk] = {}

    def at(self, output_stride: int) -> keras.Model:
        """Returns the trunk at this stride, on the shared weights."""
        if output_stride not in self._by_stride:
            config = dataclasses.replace(
                self._config, output_stride=output_stride
            )
            self._by_stride[output_stride] = trunk_lib.build_trunk(
                config, share=self.trunk
            )
        return self._by_stride[output_stride]

    def recomputed_at(
        self, output_stride: int
    ) -> recomputed_trunk.RecomputedTrunk:
        """Returns the same where its units are computed twice."""
        if output_stride not in self._recomputed:
            self._recomputed[output_stride] = recomputed_trunk.RecomputedTrunk(
                self.at(output_stride)
            )
        return self._recomputed[output_stride]


def build_task_model(
    trunk: keras.Model,
    task: base.Task,
    view_shape: tuple[int, int, int],
    mix: lasso_mix.LassoMix | None = None,
    recomputed: recomputed_trunk.RecomputedTrunk | None = None,
) -> TaskModel:
    """Puts a task's head on the trunk.

    Args:
        trunk: at the output stride that the task asks for.
        task: gives the head.
        view_shape: height, width and channels of the task's views.
        mix: combines the trunk's units; None reads the last one.
        recomputed: of this trunk; None keeps all for the backward pass.
    """
    image = keras.Input(view_shape, dtype="float32")
    outputs = trunk(image)
    units = {
        name: keras.Input(output.shape[1:], dtype=output.dtype, name=name)
        for name, output in outputs.items()
    }
    features = mix(units) if mix else last_unit(units)
    head = keras.Model(
        units, task.build_head(features), name=f"head_{task.name}"
    )
    model = keras.Model(image, head(outputs), name=task.name)
    return TaskModel(model, head, mix, recomputed)


def last_unit(units: Mapping[str, keras.KerasTensor]) -> keras.KerasTensor:
    """Returns the deepest unit's output."""
    return units[max(units)]
