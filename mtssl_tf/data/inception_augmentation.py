"""Views moved and recoloured, for training on targets that people made.

The paper (sec. 5) augments "in translation and color, following" Inception-v4
and leaves mirroring and scale out. Colours follow TF-Slim's
`inception_preprocessing.distort_color` (release): brightness, saturation, hue
and contrast, in one of four orders.
"""

from __future__ import annotations

from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import tf

MAX_BRIGHTNESS_SHIFT = 32.0 / 255.0  # release, as the next three
MAX_SATURATION_CHANGE = 0.5
MAX_HUE_SHIFT = 0.2
MAX_CONTRAST_CHANGE = 0.5
_ORDERS = (  # release
    ("brightness", "saturation", "hue", "contrast"),
    ("saturation", "brightness", "contrast", "hue"),
    ("contrast", "hue", "brightness", "saturation"),
    ("hue", "saturation", "contrast", "brightness"),
)


def training_view(
    image: tf.Tensor,
    resize_px: int,
    image_px: int,
    color_strength: float,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Cuts a random square and changes its colours.

    Args:
        image: uint8 [H, W, 3].
        resize_px: length of the short side before the cut.
        image_px: side of the square.
        color_strength: factor on all ranges of colours; 0 keeps them.
        seed: int32 [2]; all randomness derives from it.

    Returns:
        float32 [image_px, image_px, 3] in [0, 255].
    """
    crop_seed, color_seed = tf.unstack(tf.random.split(seed, 2))
    image = resize.resize_short_side(image, resize_px)
    view = resize.random_crop(image, image_px, crop_seed)
    if color_strength > 0.0:
        view = 255.0 * distort_color(view / 255.0, color_strength, color_seed)
    return view


def distort_color(
    image: tf.Tensor, strength: float, seed: tf.Tensor
) -> tf.Tensor:
    """Inception's colour augmentation.

    Args:
        image: float32 [H, W, 3] in [0, 1].
        strength: factor on all ranges, at most 1.
        seed: int32 [2].

    Returns:
        float32 [H, W, 3] in [0, 1].
    """
    order_seed, *seeds = tf.unstack(tf.random.split(seed, 5))
    names = sorted(_ORDERS[0])
    seed_by_name = dict(zip(names, seeds))

    def apply_order(order: tuple[str, ...]) -> tf.Tensor:
        changed = image
        for name in order:
            changed = _change(changed, name, strength, seed_by_name[name])
        return tf.clip_by_value(changed, 0.0, 1.0)

    number = tf.random.stateless_uniform(
        [], order_seed, 0, len(_ORDERS), tf.int32
    )
    return tf.switch_case(
        number,
        [lambda order=order: apply_order(order) for order in _ORDERS],
    )


def _change(
    image: tf.Tensor, name: str, strength: float, seed: tf.Tensor
) -> tf.Tensor:
    if name == "brightness":
        return tf.image.stateless_random_brightness(
            image, strength * MAX_BRIGHTNESS_SHIFT, seed
        )
    if name == "saturation":
        change = strength * MAX_SATURATION_CHANGE
        return tf.image.stateless_random_saturation(
            image, 1.0 - change, 1.0 + change, seed
        )
    if name == "hue":
        return tf.image.stateless_random_hue(
            image, strength * MAX_HUE_SHIFT, seed
        )
    change = strength * MAX_CONTRAST_CHANGE
    return tf.image.stateless_random_contrast(
        image, 1.0 - change, 1.0 + change, seed
    )
