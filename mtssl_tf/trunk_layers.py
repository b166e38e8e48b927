"""The layers that a trunk's units are made of, under TF-Slim's names."""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


class TrunkLayers(abc.ABC):
    """Applies layers to tensors, float [B, h, w, C].

    Where a layer with variables comes from is a subclass's business.
    """

    def __init__(self, dtype: keras.DTypePolicy):
        self._dtype = dtype

    @abc.abstractmethod
    def _conv_layer(self, name: str, fan_in: int, **kwargs) -> keras.Layer:
        """Returns the convolution `name`; kwargs are those of Conv2D."""

    @abc.abstractmethod
    def _norm_layer(self, name: str) -> keras.Layer:
        """Returns the batch norm `name`."""

    def check_complete(self):
        """Is called once all layers are applied."""

    def conv(
        self,
        x: Tensor,
        name: str,
        filters: int,
        kernel_size: int,
        stride: int = 1,
        rate: int = 1,
        use_bias: bool = True,
    ) -> Tensor:
        """TF-Slim's `conv2d_same`: strided, it pads both sides alike.

        "same" would pad pictures of even size on the far side only.
        """
        padding = "same"
        if stride > 1 and kernel_size > 1:
            x = keras.layers.ZeroPadding2D(
                rate * (kernel_size - 1) // 2,
                data_format="channels_last",
                dtype=self._dtype,
                name=f"{name}_pad",
            )(x)
            padding = "valid"
        layer = self._conv_layer(
            name,
            fan_in=x.shape[-1] * kernel_size**2,
            filters=filters,
            kernel_size=kernel_size,
            strides=stride,
            dilation_rate=rate,
            padding=padding,
            use_bias=use_bias,
        )
        return layer(x)

    def conv_norm_relu(
        self,
        x: Tensor,
        name: str,
        filters: int,
        kernel_size: int,
        stride: int = 1,
        rate: int = 1,
    ) -> Tensor:
        """A convolution without bias, batch norm and ReLU."""
        x = self.conv(
            x, name, filters, kernel_size, stride, rate, use_bias=False
        )
        return self.norm_relu(x, f"{name}_BatchNorm")

    def norm_relu(self, x: Tensor, name: str) -> Tensor:
        """Batch norm and ReLU."""
        x = self._norm_layer(name)(x)
        return keras.layers.ReLU(name=f"{name}_relu", dtype=self._dtype)(x)

    def max_pool(
        self, x: Tensor, name: str, pool_size: int, stride: int
    ) -> Tensor:
        """Max-pool with TensorFlow's "SAME" padding."""
        return keras.layers.MaxPooling2D(
            pool_size,
            strides=stride,
            padding="same",
            data_format="channels_last",
            dtype=self._dtype,
            name=name,
        )(x)

    def add(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        """The sum of two tensors of one shape."""
        return keras.layers.Add(name=name, dtype=self._dtype)([x, y])


class NewLayers(TrunkLayers):
    """Applies layers with new variables, initialised as TF-Slim does."""

    def __init__(self, bn_decay: float, bn_epsilon: float):
        super().__init__(keras.config.dtype_policy())
        self._bn_decay = bn_decay
        self._bn_epsilon = bn_epsilon

    def _conv_layer(self, name: str, fan_in: int, **kwargs) -> keras.Layer:
        # release: TF-Slim's variance_scaling_initializer. Its 1.3 makes up
        # for the truncation, where Keras's VarianceScaling has 1.2925.
        stddev = math.sqrt(1.3 * 2.0 / fan_in)
        return keras.layers.Conv2D(
            data_format="channels_last",
            kernel_initializer=keras.initializers.TruncatedNormal(
                stddev=stddev
            ),
            dtype=self._dtype,
            name=name,
            **kwargs,
        )

    def _norm_layer(self, name: str) -> keras.Layer:
        return keras.layers.BatchNormalization(
            momentum=self._bn_decay,
            epsilon=self._bn_epsilon,
            dtype=self._dtype,
            name=name,
        )
