"""The trunk that a frozen evaluation reads, as its protocol asks for it."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import tensorflow as tf

from evaluation import batch_norm_statistics
from evaluation import result
from evaluation.classification import data as data_lib
from evaluation.classification import protocol as protocol_lib
from evaluation.classification import raw_pixels
from mtssl_tf import pretrained
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.frozen import features
from mtssl_tf.models import config as model_config
from mtssl_tf.models import lasso_mix

PIXELS = "pixels"


@dataclasses.dataclass(frozen=True)
class FrozenTrunk:
    """A trunk's identity and what it makes of pictures.

    Attributes:
        identity: goes into the result.
        unit_names: the units that are read, in depth order.
        extract: uint8 [B, H, W, 3] -> float32 [B, N, D], pooled features.
        read_units: uint8 or float [B, H, W, 3] -> list of N float
            [B, h, w, C]; None for raw pixels.
        value_range: black and white of the pictures that have more than 8
            bits a value.
    """

    identity: result.EvaluatedTrunk
    unit_names: tuple[str, ...]
    extract: Callable[[tf.Tensor], tf.Tensor]
    read_units: Callable[[tf.Tensor], list[tf.Tensor]] | None
    value_range: value_range_lib.Choice | None


def build_frozen_trunk(
    source: str,
    protocol: protocol_lib.FastLinearProtocol | protocol_lib.LinearProtocol,
    random_config: model_config.TrunkConfig,
    seed: int,
    data: data_lib.LabelledData,
) -> FrozenTrunk:
    """Loads what `--trunk` names and gives it the protocol's statistics.

    Args:
        source: as `pretrained.load_pretrained` takes it, or 'pixels'.
        protocol: says stride, batch norm and which units are read.
        random_config: shape of `random`.
        seed: of `random`.
        data: whose training pictures new batch norm statistics come from.

    Raises:
        FileNotFoundError: nothing is at `source`.
        ValueError: it is no trunk, or it has only one input to mix.
    """
    if source == PIXELS:
        if protocol.lasso is not None:
            raise ValueError(
                "--trunk=pixels has no units to mix. Leave --lasso out."
            )
        pixels = raw_pixels.RawPixels()
        value_range = data.in_range(None).train.value_range
        return FrozenTrunk(pixels, (PIXELS,), pixels.extract, None, value_range)
    loaded = pretrained.load_pretrained(
        source, random_config=random_config, seed=seed
    )
    stride = loaded.config.stride_up_to(protocol.output_stride)
    if stride != protocol.output_stride:
        raise ValueError(
            f"--trunk={source} cannot be read at output stride "
            f"{protocol.output_stride}: {loaded.config.title} has none. Give "
            f"--output_stride={stride}."
        )
    loaded = pretrained.at_stride(loaded, stride)
    data = data.in_range(loaded.contract.value_range)
    if protocol.batch_norm == "reestimated":
        _reestimate(loaded, protocol, data, seed)
    names = tuple(sorted(loaded.trunk.output))
    if protocol.lasso is None:
        names = names[-1:]
    else:
        size = (1, protocol.image_px, protocol.image_px, 3)
        lasso_mix.check_shapes(loaded.trunk.compute_output_shape(size))

    @tf.function(jit_compile=False, reduce_retracing=True, autograph=False)
    def read_units(images: tf.Tensor) -> list[tf.Tensor]:
        units = loaded.trunk(loaded.contract.apply(images), training=False)
        return [units[name] for name in names]

    extract = features.build_extractor(loaded.trunk, loaded.contract, names)
    return FrozenTrunk(
        loaded, names, extract, read_units, data.train.value_range
    )


def _reestimate(
    loaded: Any,
    protocol: protocol_lib.FastLinearProtocol | protocol_lib.LinearProtocol,
    data: data_lib.LabelledData,
    seed: int,
) -> None:
    """Shows the trunk shuffled training pictures, without their classes."""
    batches = data_lib.centre_views(
        data.train, protocol, data.skipped, shuffle_seed=seed
    )
    inputs = (
        loaded.contract.apply(images)
        for images, _ in batches.take(protocol.bn_batches)
    )
    batch_norm_statistics.reestimate_batch_norm(loaded.trunk, inputs)
