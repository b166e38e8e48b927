"""How a depth model is built, trained and judged; importable without Keras."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from evaluation import result
from evaluation.depth import metrics
from mtssl_tf import settings
from mtssl_tf.models import config as model_config

# Prediction is half the size of what the network sees, so sizes are even.
PREDICTION_STRIDE = 2


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Laina's augmentation (release: their section 4.2, after Eigen's).

    Attributes:
        max_scale: pictures are enlarged by 1 to this; depth is divided.
        max_rotation_deg: rotated by at most this either way.
        max_color_change: each colour is multiplied by 1 -+ this at most.
        use_flip: mirrored half of the time.
    """

    max_scale: float = 1.5
    max_rotation_deg: float = 5.0
    max_color_change: float = 0.2
    use_flip: bool = True


@dataclasses.dataclass(frozen=True)
class DepthConfig:
    """Settings of a depth model and its training.

    Attributes:
        picture_size: height and width of what the network sees: a whole
            picture brought to that size, in training enlarged and cropped.
            One size for both, since how a trunk pads at the right and the
            bottom depends on the size, and the head learns to allow for it.
        up_filters: of the up-projections, in order.
        bn_decay: of the batch normalisation after the trunk.
        batch_size: pictures in a step.
        steps: number of training steps.
        learning_rate: of SGD with momentum, at the start; it falls to 0 along
            half a cosine.
        warmup_steps: over which it rises to there.
        momentum: of SGD.
        max_gradient_norm: gradients are scaled down to this global norm.
        bn_batches: over how many training batches batch normalisation's
            statistics are averaged before the model is judged.
        min_depth_m: the least depth a prediction may say.
        augmentation: of training pictures.
    """

    picture_size: tuple[int, int] = (228, 304)  # release
    up_filters: tuple[int, int, int] = settings.ranged(
        (512, 256, 128), at_least=1
    )  # paper, sec. 5
    bn_decay: float = settings.ranged(0.99, at_least=0, below=1)  # ours
    batch_size: int = settings.ranged(16, at_least=1)  # release
    steps: int = settings.ranged(
        60_000, at_least=1
    )  # ours: 20 epochs of tfds:nyu_depth_v2
    learning_rate: float = settings.ranged(1e-2, above=0)  # release
    warmup_steps: int = settings.ranged(500, at_least=0)  # ours
    momentum: float = settings.ranged(0.9, at_least=0, below=1)  # release
    max_gradient_norm: float = settings.ranged(10.0, above=0)  # ours
    bn_batches: int = settings.ranged(200, at_least=1)  # ours
    min_depth_m: float = settings.ranged(
        0.1, above=0
    )  # ours: keeps logarithms finite
    augmentation: AugmentationConfig = AugmentationConfig()

    def __post_init__(self):
        settings.check(self)
        size = self.picture_size
        if any(side % PREDICTION_STRIDE or side <= 0 for side in size):
            raise ValueError(
                "picture_size must have even, positive sides, since depth is "
                f"predicted at half of it. Got {size}."
            )


# `--trunk=random` takes the trunk of mtssl_tf.config's preset of this name.
PRESETS = {
    # A GPU, days. We have run single steps of it, on a CPU.
    "paper": DepthConfig(),
    # One CPU core, minutes; time and result are in docs/nyu_depth.md.
    "tiny": DepthConfig(
        picture_size=(114, 152),
        up_filters=(64, 32, 16),
        bn_decay=0.95,
        batch_size=8,
        steps=1000,
        learning_rate=0.03,
        warmup_steps=200,
        bn_batches=30,
    ),
}


@dataclasses.dataclass(frozen=True)
class DepthProtocol(result.Protocol):
    """How depth prediction is trained and judged.

    Predictions are up-sampled bilinearly to the size of the true depth map
    and compared over the whole picture, and over Eigen's crop, pixels pooled.
    With a lasso the id also covers `result.PROXIMAL_STEP`; without one it is
    what it was before that had to be told apart.

    Attributes:
        split: how training and test pictures were told apart.
        test_depth: which depth maps predictions are compared with.
        lasso: of the mix of units that is read; None reads the last unit.
        training: the settings of training and prediction.
        eigen_crop: its picture's size, rows and columns.
    """

    name: ClassVar[str] = "nyu-depth"
    version: ClassVar[int] = 1

    split: str
    test_depth: str
    lasso: model_config.LassoConfig | None
    training: DepthConfig
    eigen_crop: Any = (
        metrics.EIGEN_PICTURE,
        metrics.EIGEN_ROWS,
        metrics.EIGEN_COLUMNS,
    )

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        if self.lasso is not None and self.lasso.proximal:
            settings |= result.PROXIMAL_STEP
        return settings
