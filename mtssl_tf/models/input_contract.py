"""What a trunk expects its pictures to be: the range its weights know.

The contract travels with the weights: a run's configuration, an export and
every evaluation take it from there.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.lazy_imports import keras

# release: google-deepmind/multiself, README; also TF-Slim's vgg_preprocessing.
VGG_MEANS = (123.68, 116.779, 103.939)


@dataclasses.dataclass(frozen=True)
class InputContract:
    """Maps RGB in 0..255 to a trunk's input: (rgb - means_rgb) * scale.

    Attributes:
        means_rgb: subtracted from red, green and blue, in 0..255.
        scale: multiplied afterwards.
        value_range: (black, white) of pictures of more than 8 bits a value,
            which `files/value_range.py` maps to 0..255 before all else;
            'dtype' takes all that their type can be. None of weights that
            have seen no such picture.
    """

    means_rgb: tuple[float, float, float] = VGG_MEANS
    scale: float = 1.0
    value_range: tuple[float, float] | str | None = None

    def __post_init__(self):
        # A list is what a JSON file gives.
        means = tuple(float(mean) for mean in self.means_rgb)
        object.__setattr__(self, "means_rgb", means)
        if len(means) != 3 or not all(0 <= mean <= 255 for mean in means):
            raise ValueError(
                "means_rgb must hold three values in 0..255 (red, green, "
                f"blue), got {means}."
            )
        if isinstance(self.value_range, (tuple, list)):
            value_range = tuple(float(each) for each in self.value_range)
            object.__setattr__(self, "value_range", value_range)
        value_range_lib.check(self.value_range)
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(
                f"scale must be positive and finite, got {self.scale}."
            )

    @classmethod
    def parse(cls, text: str) -> InputContract:
        """Reads 'vgg', 'inception' or four numbers, 'R,G,B,SCALE'."""
        if text in NAMED_CONTRACTS:
            return NAMED_CONTRACTS[text]
        try:
            red, green, blue, scale = (float(part) for part in text.split(","))
        except ValueError:
            raise ValueError(
                f"Unknown input contract {text!r}. Known: "
                f"{', '.join(NAMED_CONTRACTS)}; or four numbers R,G,B,SCALE "
                "for (rgb - [R, G, B]) * SCALE with rgb in 0..255."
            ) from None
        return cls((red, green, blue), scale)

    def apply(self, rgb: Any) -> Any:
        """Returns the trunk's input.

        Args:
            rgb: uint8 or float [..., 3] in 0..255.

        Returns:
            float32 [..., 3].
        """
        rgb = keras.ops.cast(rgb, "float32")
        return (rgb - keras.ops.array(self.means_rgb, "float32")) * self.scale


NAMED_CONTRACTS = {
    # release: google-deepmind/multiself.
    "vgg": InputContract(),
    # release: TF-Slim's resnet_v2_50, _101 and _152 of 2017_04_14, whose
    # inception_preprocessing maps 0..255 to -1..1.
    "inception": InputContract((127.5, 127.5, 127.5), 1 / 127.5),
}
