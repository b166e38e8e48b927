"""The two protocols of the frozen linear evaluation, and their presets.

`LinearProtocol` is the paper's (sec. 5): the linear layer is trained by
gradient on views that are augmented in translation and colour.
`FastLinearProtocol` is ours, for daily use: features of one view of each
picture, computed once, and a regularised fit on them.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from evaluation import result
from mtssl_tf.frozen import knn
from mtssl_tf.frozen import softmax_regression
from mtssl_tf.frozen import view
from mtssl_tf.models import config as model_config

BATCH_NORM_MODES = ("frozen", "reestimated")
# Block 3's units have one size at this output stride or a lower one.
LASSO_STRIDE = 16


@dataclasses.dataclass(frozen=True)
class _ViewSettings(result.Protocol):
    """What both protocols share.

    Attributes:
        image_px: side of the view that the trunk sees.
        resize_px: short side of a test picture before the central cut.
        output_stride: of the trunk.
        batch_norm: 'frozen' keeps the statistics that came with the trunk,
            'reestimated' takes those of `bn_batches` batches of unlabelled
            training pictures.
        bn_batches: see above.
        batch_size: pictures a step.
        lasso: settings of the mix; None reads the last unit.
    """

    image_px: int = view.PRESETS["paper"].image_px
    resize_px: int = view.PRESETS["paper"].resize_px
    output_stride: int = view.PRESETS["paper"].output_stride
    batch_norm: str = "frozen"
    bn_batches: int = 32
    batch_size: int = 64
    lasso: model_config.LassoConfig | None = None

    def __post_init__(self):
        if self.batch_norm not in BATCH_NORM_MODES:
            raise ValueError(
                f"batch_norm={self.batch_norm!r} is not one of "
                f"{BATCH_NORM_MODES}."
            )
        if self.image_px > self.resize_px:
            raise ValueError(
                f"image_px={self.image_px} can't be cut out of a picture "
                f"with a short side of resize_px={self.resize_px}."
            )
        if self.lasso is not None and self.output_stride > LASSO_STRIDE:
            raise ValueError(
                "--lasso sums all units of block 3, which have one size only "
                f"at output_stride 16 or 8. Got {self.output_stride}."
            )


@dataclasses.dataclass(frozen=True)
class FastLinearProtocol(_ViewSettings):
    """Features once, softmax regression and nearest neighbours on them.

    Attributes:
        l2: penalty of the softmax regression.
        max_iterations: of its L-BFGS.
        num_neighbours: k of the nearest neighbours.
        temperature: of their votes.
        mix_rounds: with a lasso, turns between mix and classifier.
    """

    name: ClassVar[str] = "imagenet_linear_fast"
    version: ClassVar[int] = 1

    l2: float = softmax_regression.L2
    max_iterations: int = 200
    num_neighbours: int = knn.NUM_NEIGHBOURS
    temperature: float = knn.TEMPERATURE
    mix_rounds: int = 6


@dataclasses.dataclass(frozen=True)
class LinearProtocol(_ViewSettings):
    """A linear layer trained by gradient on augmented views.

    Attributes:
        train_resize_px: short side of a training picture before the random
            cut, which is the augmentation in translation.
        color_strength: 1 is Inception's colour augmentation, 0 none.
        epochs: passes over the training pictures.
        learning_rate: of SGD at the start; a cosine takes it to 0.
        momentum: of SGD.
        weight_decay: L2 penalty of the linear layer, as a part of the loss.
    """

    name: ClassVar[str] = "imagenet_linear"
    version: ClassVar[int] = 1

    train_resize_px: int = 256
    color_strength: float = 1.0
    epochs: int = 30  # ours, as the next three
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4

    def __post_init__(self):
        super().__post_init__()
        if self.train_resize_px < self.image_px:
            raise ValueError(
                f"image_px={self.image_px} can't be cut out of a picture "
                f"with a short side of {self.train_resize_px}."
            )


@dataclasses.dataclass(frozen=True)
class LinearPreset:
    """Both protocols at one scale."""

    fast: FastLinearProtocol
    full: LinearProtocol


_VIEWS = {name: dataclasses.asdict(each) for name, each in view.PRESETS.items()}
# `--trunk=random` takes the trunk of mtssl_tf.config's preset of this name.
PRESETS: dict[str, LinearPreset] = {
    # 2 CPU cores: fast about 20 s, full some minutes on 2310 pictures.
    "tiny": LinearPreset(
        FastLinearProtocol(**_VIEWS["tiny"]),
        LinearProtocol(**_VIEWS["tiny"], train_resize_px=110, bn_batches=32),
    ),
    # One GPU.
    "small": LinearPreset(
        FastLinearProtocol(**_VIEWS["small"]),
        LinearProtocol(**_VIEWS["small"], train_resize_px=146),
    ),
    # The paper's trunk and pictures.
    "paper": LinearPreset(
        FastLinearProtocol(**_VIEWS["paper"]),
        LinearProtocol(**_VIEWS["paper"]),
    ),
}
