"""Masks of what moves in raw video, with the camera's own motion taken out.

    frames -> flow -> camera -> tracks -> mask

The source of clips and `python -m mtssl_tf.masks` use this package. It needs
NumPy and OpenCV alone, so that it starts at once and runs in workers.
"""

from mtssl_tf.motion.config import config_digest
from mtssl_tf.motion.config import MotionConfig
from mtssl_tf.motion.stream import iterate_masks
from mtssl_tf.motion.stream import MotionMask
from mtssl_tf.motion.stream import moving_mask

__all__ = [
    "MotionConfig",
    "MotionMask",
    "config_digest",
    "iterate_masks",
    "moving_mask",
]
