"""The layers that a trunk's units are made of, under TF-Slim's names.

Trunks at output strides 8, 16 and 32 are one set of weights, but a
convolution of Keras holds its stride and dilation rate beside its weights. So
layers are either new, or those of another model applied again at another
stride.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
import contextlib
import math
from typing import TYPE_CHECKING

import keras

from mtssl_tf.models import batch_norm

if TYPE_CHECKING:
    from keras import KerasTensor as Tensor

# In what the layers of two strides may differ, and share a kernel.
_SHARED_AT_WILL = {"strides", "dilation_rate", "padding"}


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

    @abc.abstractmethod
    def take_in(self, model: keras.Model) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the input and outputs of a model that somebody has built.

        Args:
            model: functional, with one input and a dict of outputs.
        """

    @contextlib.contextmanager
    def as_default_dtype(self) -> Iterator[None]:
        """Gives layers that name no dtype policy that of these layers."""
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(self._dtype)
        try:
            yield
        finally:
            keras.config.set_dtype_policy(before)

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

    def norm(self, x: Tensor, name: str) -> Tensor:
        """Batch norm by itself."""
        return self._norm_layer(name)(x)

    def norm_relu(self, x: Tensor, name: str) -> Tensor:
        """Batch norm and ReLU."""
        x = self.norm(x, name)
        return keras.layers.ReLU(name=f"{name}_relu", dtype=self._dtype)(x)

    def relu(self, x: Tensor, name: str) -> Tensor:
        """ReLU by itself, where there is no batch norm."""
        return keras.layers.ReLU(name=name, dtype=self._dtype)(x)

    def max_pool(
        self, x: Tensor, name: str, pool_size: int, stride: int
    ) -> Tensor:
        """Max-pool with TensorFlow's "SAME" padding."""
        kind = keras.layers.MaxPooling2D
        return self._pool(kind, x, name, pool_size, stride, "same")

    def padded_max_pool(
        self, x: Tensor, name: str, pool_size: int, stride: int
    ) -> Tensor:
        """Max-pool of values from 0 on, padded with zeros on both sides alike.

        "SAME" pads sides of even size on the far side only.
        """
        x = keras.layers.ZeroPadding2D(
            (pool_size - 1) // 2,
            data_format="channels_last",
            dtype=self._dtype,
            name=f"{name}_pad",
        )(x)
        kind = keras.layers.MaxPooling2D
        return self._pool(kind, x, name, pool_size, stride, "valid")

    def average_pool(
        self, x: Tensor, name: str, pool_size: int, stride: int
    ) -> Tensor:
        """Average pool; beyond the border there is nothing to average."""
        kind = keras.layers.AveragePooling2D
        return self._pool(kind, x, name, pool_size, stride, "same")

    def _pool(
        self,
        kind: type[keras.Layer],
        x: Tensor,
        name: str,
        pool_size: int,
        stride: int,
        padding: str,
    ) -> Tensor:
        return kind(
            pool_size,
            strides=stride,
            padding=padding,
            data_format="channels_last",
            dtype=self._dtype,
            name=name,
        )(x)

    def concatenate(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        """The channels of both, those of `x` first."""
        return keras.layers.Concatenate(name=name, dtype=self._dtype)([x, y])

    def fill_channels(self, x: Tensor, channels: int, name: str) -> Tensor:
        """Puts channels of zeros behind those of `x`, up to `channels`."""
        # Keras pads two axes, the last ones where channels come first.
        return keras.layers.ZeroPadding2D(
            ((0, 0), (0, channels - x.shape[-1])),
            data_format="channels_first",
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

    def take_in(self, model: keras.Model) -> tuple[Tensor, dict[str, Tensor]]:
        return model.inputs[0], model.output


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
        strides: int | tuple[int, int] = 1,
        dilation_rate: int | tuple[int, int] = 1,
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
        """Convolves float [B, H, W, C_in] to [B, H', W', C_out].

        The activation is the source's.
        """
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
        if self.source.bias is not None:
            bias = keras.ops.cast(self.source.bias, inputs.dtype)
            outputs = keras.ops.add(outputs, bias)
        return self.source.activation(outputs)


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

    def take_in(self, model: keras.Model) -> tuple[Tensor, dict[str, Tensor]]:
        # By order: who names no layer gets other names each time.
        theirs = list(self._unused.values())
        ours = [layer for layer in model.layers if layer.weights]
        if len(ours) != len(theirs):
            raise self._mismatch(
                f"it has {len(theirs)} layers with weights where {len(ours)} "
                "are built"
            )
        self._unused.clear()
        sources = {id(our): their for our, their in zip(ours, theirs)}

        def counterpart(layer: keras.Layer) -> keras.Layer:
            if id(layer) not in sources:
                return layer
            return self._applied_as(layer, sources[id(layer)])

        shared = keras.models.clone_model(model, clone_function=counterpart)
        return shared.inputs[0], shared.output

    def _applied_as(
        self, layer: keras.Layer, source: keras.Layer
    ) -> keras.Layer:
        """Returns what computes as `layer` with the variables of `source`.

        Raises:
            ValueError: they differ in more than a convolution's stride,
                dilation and padding.
        """
        if isinstance(source, SharedConv2D):
            source = source.source
        wanted, found = layer.get_config(), source.get_config()
        changes = {
            key
            for key in wanted.keys() - {"name"}
            if wanted[key] != found.get(key)
        }
        if not changes and type(layer) is type(source):
            return source
        if type(layer) is not keras.layers.Conv2D or changes - _SHARED_AT_WILL:
            raise self._mismatch(
                f"{layer.name!r} has other settings: {sorted(changes)}"
            )
        return SharedConv2D(
            source,
            strides=layer.strides,
            dilation_rate=layer.dilation_rate,
            padding=layer.padding,
            dtype=self._dtype,
            name=layer.name,
        )

    def _take(self, name: str) -> keras.Layer:
        if name not in self._unused:
            raise self._mismatch(f"it has no {name!r}")
        return self._unused.pop(name)

    def _mismatch(self, found: str) -> ValueError:
        return ValueError(
            f"The model to share, {self._model_name!r}, is of another shape: "
            f"{found}. Give both the same family, depth, num_units and width."
        )
