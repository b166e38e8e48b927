"""How large a frozen trunk sees a picture, and how densely it is read."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class View:
    """The central square of a picture.

    Attributes:
        image_px: side of the square that the trunk sees.
        resize_px: short side of the picture before the cut.
        output_stride: of the trunk.
    """

    image_px: int
    resize_px: int
    output_stride: int


# By the presets of `mtssl_tf.config`: the fast linear evaluation and
# `mtssl_tf.embed` read pictures at these.
PRESETS = {
    "tiny": View(image_px=96, resize_px=96, output_stride=16),
    "small": View(image_px=128, resize_px=146, output_stride=16),
    # 7 x 7, which the paper's pool makes 3 x 3.
    "paper": View(image_px=224, resize_px=256, output_stride=32),
}
