"""Another model's layers, applied again at other strides and rates.

Trunks at output strides 8, 16 and 32 are one set of weights, but a
convolution of Keras holds its stride and dilation rate beside its weights.
"""

from __future__ import annotations

import keras

from mtssl_tf.trunk_layers import TrunkLayers


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
        outputs = keras.ops.conv(
            inputs,
            self.source.kernel,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format="channels_last",
        )
        if self.source.bias is None:
            return outputs
        return keras.ops.add(outputs, self.source.bias)


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
