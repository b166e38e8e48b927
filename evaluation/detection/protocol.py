"""Every setting of the VOC detection evaluation, with where it comes from.

"paper" is the multi-task paper, sec. 5; "Faster R-CNN" is Ren et al. 2015 and
its py-faster-rcnn release; "SPP-net" is He et al. 2014, whose scales the paper
trains with; "tf-models" is official.vision's default.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from evaluation import result
from mtssl_tf import settings as settings_lib

STRIDE_PX = 16  # paper: block 3, stride 16
_NEVER_EMPTY = ("train_short_sides_px", "anchor_sides_px", "anchor_ratios")


def _positive(default: Any) -> Any:
    return settings_lib.ranged(default, above=0)


def _at_least_0(default: Any) -> Any:
    return settings_lib.ranged(default, at_least=0)


def _share(default: float) -> Any:
    return settings_lib.ranged(default, above=0, at_most=1)


@dataclasses.dataclass(frozen=True)
class VocDetectionProtocol(result.Protocol):
    """Settings; `--set=NAME=VALUE` changes one.

    With a lasso the id also covers `result.PROXIMAL_STEP`; without one it is
    what it was before that had to be told apart.

    Attributes:
        train_short_sides_px: scales drawn from in training, one a step.
        train_long_side_px: bound on the longer side in training.
        test_short_side_px: the scale tested at.
        test_long_side_px: bound on the longer side in testing.
        canvas_multiple_px: pictures are padded to multiples of this, so that
            few sizes occur; each new size costs a compilation.
        use_flips: whether training mirrors every second picture.
        anchor_sides_px: square roots of anchor areas.
        anchor_ratios: width over height of anchors.
        rpn_channels: of the proposal head's 3x3 convolution.
        rpn_samples: anchors a picture in the proposal loss.
        rpn_foreground: share of objects among them, at most.
        proposal_nms_iou: overlap at which the lesser proposal goes.
        proposal_min_side_px: smaller proposals go.
        train_proposals: before and after suppression, in training.
        test_proposals: the same, in testing.
        roi_samples: proposals a picture in the box head's loss.
        roi_foreground: share of objects among them, at most.
        roi_foreground_iou: overlap with an object that makes a proposal one.
        roi_crop: side of the features that the box head gets.
        score_threshold: detections with lower scores go.
        nms_iou: overlap at which the lesser detection of a class goes.
        max_detections: most detections of one picture.
        freeze_batch_norm: whether batch norms keep their statistics, scale
            and shift. Those with random weights around them are first
            estimated on training pictures.
        batch_norm_batches: batches that the estimate is made on.
        batch_size: pictures a step.
        steps: of training.
        learning_rate: at first.
        decay_steps: steps after which the rate is divided by ten.
        warmup_steps: steps over which the rate rises to its first value.
        momentum: of stochastic gradient descent.
        weight_decay: L2 penalty on kernels.
        gradient_clip_norm: the gradient is scaled to this norm if longer.
        use_lasso: whether the heads read a learned mix of block 3's units.
        lasso_l1: penalty on that mix.
    """

    name: ClassVar[str] = "voc_detection"
    version: ClassVar[int] = 1

    train_short_sides_px: tuple[int, ...] = _positive(
        (480, 576, 688, 864, 1200)
    )  # SPP-net
    train_long_side_px: int = _positive(2000)  # SPP-net
    test_short_side_px: int = _positive(600)  # Faster R-CNN
    test_long_side_px: int = _positive(1000)  # Faster R-CNN
    canvas_multiple_px: int = _positive(64)  # ours
    use_flips: bool = True  # Faster R-CNN
    anchor_sides_px: tuple[int, ...] = _positive(
        (128, 256, 512)
    )  # Faster R-CNN
    anchor_ratios: tuple[float, ...] = _positive(
        (0.5, 1.0, 2.0)
    )  # Faster R-CNN
    rpn_channels: int = _positive(512)  # Faster R-CNN
    rpn_samples: int = _positive(256)  # Faster R-CNN
    rpn_foreground: float = _share(0.5)  # Faster R-CNN
    proposal_nms_iou: float = _share(0.7)  # Faster R-CNN
    proposal_min_side_px: float = _at_least_0(16.0)  # Faster R-CNN
    train_proposals: tuple[int, int] = _positive((12000, 2000))  # Faster R-CNN
    test_proposals: tuple[int, int] = _positive((6000, 300))  # Faster R-CNN
    roi_samples: int = _positive(128)  # Faster R-CNN
    roi_foreground: float = _share(0.25)  # Faster R-CNN
    roi_foreground_iou: float = _share(0.5)  # Faster R-CNN
    roi_crop: int = _positive(14)  # He et al. 2016: block 4 strides it to 7
    score_threshold: float = settings_lib.ranged(
        0.01, at_least=0, at_most=1
    )  # ours
    nms_iou: float = _share(0.3)  # Faster R-CNN
    max_detections: int = _positive(100)  # tf-models
    freeze_batch_norm: bool = True  # He et al. 2016
    batch_norm_batches: int = _positive(16)  # ours
    batch_size: int = _positive(1)  # Faster R-CNN
    steps: int = _positive(70000)  # Faster R-CNN
    learning_rate: float = _positive(1e-3)  # Faster R-CNN
    decay_steps: tuple[int, ...] = _at_least_0((50000,))  # Faster R-CNN
    warmup_steps: int = _at_least_0(500)  # ours
    momentum: float = settings_lib.ranged(
        0.9, at_least=0, below=1
    )  # Faster R-CNN
    weight_decay: float = _at_least_0(5e-4)  # Faster R-CNN
    gradient_clip_norm: float = _positive(10.0)  # ours
    use_lasso: bool = False  # paper: both are reported
    lasso_l1: float = _at_least_0(1e-2)  # ours: LassoConfig

    def __post_init__(self):
        settings_lib.check(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in _NEVER_EMPTY and not value:
                raise ValueError(f"{field.name} must hold a number or more.")
            # One id for 4 and 4.0; official.vision also wants floats.
            if isinstance(field.default, float):
                object.__setattr__(self, field.name, float(value))
            elif field.name == "anchor_ratios":
                ratios = tuple(float(ratio) for ratio in value)
                object.__setattr__(self, field.name, ratios)
        if self.canvas_multiple_px % STRIDE_PX:
            raise ValueError(
                f"canvas_multiple_px must be a multiple of {STRIDE_PX}, the "
                f"features' stride, got {self.canvas_multiple_px}."
            )
        if self.roi_crop % 2:
            raise ValueError(
                f"roi_crop must be even, as block 4 halves it, got "
                f"{self.roi_crop}."
            )
        for name in ("train_proposals", "test_proposals"):
            before, after = getattr(self, name)
            if after > before:
                raise ValueError(
                    f"{name} must keep no more after suppression than it takes "
                    f"into it, got {before, after}."
                )
        if self.train_proposals[1] < self.roi_samples:
            raise ValueError(
                f"train_proposals must leave at least roi_samples="
                f"{self.roi_samples} proposals, got {self.train_proposals}."
            )

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        if self.use_lasso:
            settings |= result.PROXIMAL_STEP
        return settings


PRESETS = {
    # The paper's evaluation: one GPU, ResNet-101 on VOC 2007.
    "paper": VocDetectionProtocol(),
    # 1 CPU core, minutes: to see that it learns a few pictures by heart.
    # All ours; docs/voc_detection.md has time and result.
    "tiny": VocDetectionProtocol(
        train_short_sides_px=(192,),
        train_long_side_px=256,
        test_short_side_px=192,
        test_long_side_px=256,
        use_flips=False,
        anchor_sides_px=(32, 64, 128, 192),
        rpn_channels=64,
        rpn_samples=64,
        proposal_min_side_px=4.0,
        train_proposals=(400, 64),
        test_proposals=(400, 64),
        roi_samples=32,
        roi_foreground=0.5,
        roi_crop=6,
        batch_norm_batches=32,
        batch_size=2,
        steps=3400,
        learning_rate=4e-2,
        decay_steps=(2600,),
        warmup_steps=100,
        weight_decay=0.0,
    ),
}
