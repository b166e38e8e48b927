"""The layers that a trunk's units are made of, under TF-Slim's names.

Trunks at output strides 8, 16 and 32 are one set of weights, but a
convolution of Keras holds its stride and dilation rate beside its weights. So
layers are either new, or those of another model applied again at another
stride.
"""

from __future__ import annotations

import abc
import math
from typing import TYPE_CHECKING

import keras

from mtssl_tf.models import batch_norm

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor


class TrunkLayers(abc.ABC):
    """Applies layers to tensors, float [B, h, w, C].

    Where a layer with variables comes from is a subclass's business.
    """

    def __init__(self, dtype: str | keras.DTypePolicy):
        """Takes the dtype policy of all layers that are made."""
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

    def __init__(self, bn_decay: float, bn_epsilon: float, dtype: str):
        super().__init__(dtype)
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
        return batch_norm.BatchNormalization(
            momentum=self._bn_decay,
            epsilon=self._bn_epsilon,
            dtype=self._dtype,
            name=name,
        )


class SharedConv2D(keras.layers.Layer):
    """Convolves with the variables of another layer.

    It creates no variables; it lists those of `source` as its own, so that a
    model built from it trains them. It can't be saved: save the model that
    holds `source`.

    Example:
        >>> source = keras.layers.Conv2D(4, 3, strides=2)
        >>> source.build((None, None, None, 3))
        >>> dense = SharedConv2D(source, strides=1, padding="same")
        >>> dense(keras.ops.ones([1, 8, 8, 3])).shape
        TensorShape([1, 8, 8, 4])
    """

    def __init__(
        self,
        source: keras.layers.Conv2D,
        strides: int = 1,
        dilation_rate: int = 1,
        padding: str = "valid",
        **kwargs,
    ):
        """Takes over the variables of `source`, which must be built.

        Args:
            source: the convolution whose kernel and bias are used.
            strides: of this layer.
            dilation_rate: of this layer.
            padding: of this layer, 'valid' or 'same'.
            **kwargs: of `keras.layers.Layer`.
        """
        super().__init__(**kwargs)
        if not source.built:
            raise ValueError(
                f"SharedConv2D needs the variables of {source.name!r}, which "
                "is not built. Call it, or its `build`, first."
            )
        self.source = source
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.padding = padding

    def call(self, inputs):
        """Convolves float [B, H, W, C_in] to [B, H', W', C_out]."""
        # Keras casts only within a layer's own call, and has none where it
        # infers the shapes of a model inside another.
        outputs = keras.ops.conv(
            inputs,
            keras.ops.cast(self.source.kernel, inputs.dtype),
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )
        if self.source.bias is None:
            return outputs
        bias = keras.ops.cast(self.source.bias, inputs.dtype)
        return keras.ops.add(outputs, bias)


class SharedLayers(TrunkLayers):
    """Takes every layer that has variables from another model, by name."""

    def __init__(self, share: keras.Model):
        self._model_name = share.name
        self._unused = {
            layer.name: layer for layer in share.layers if layer.weights
        }
        super().__init__(next(iter(self._unused.values())).dtype_policy)

    def check_complete(self):
        """Raises ValueError if the other model has more layers."""
        if self._unused:
            raise self._mismatch(f"{min(self._unused)!r} is left over")

    def _conv_layer(self, name: str, fan_in: int, **kwargs) -> keras.Layer:
        layer = self._take(name)
        if isinstance(layer, SharedConv2D):
            layer = layer.source
        if layer.filters != kwargs["filters"]:
            raise self._mismatch(
                f"{name!r} has {layer.filters} filters where "
                f"{kwargs['filters']} are asked for"
            )
        strides, rate = kwargs["strides"], kwargs["dilation_rate"]
        if layer.strides[0] == strides and layer.dilation_rate[0] == rate:
            return layer
        return SharedConv2D(
            layer,
            strides=strides,
            dilation_rate=rate,
            padding=kwargs["padding"],
            dtype=self._dtype,
            name=name,
        )

    def _norm_layer(self, name: str) -> keras.Layer:
        return self._take(name)

    def _take(self, name: str) -> keras.Layer:
        if name not in self._unused:
            raise self._mismatch(f"it has no {name!r}")
        return self._unused.pop(name)

    def _mismatch(self, found: str) -> ValueError:
        return ValueError(
            f"The model to share, {self._model_name!r}, is of another shape: "
            f"{found}. Give both the same depth, num_units and width."
        )
