"""Frame order: did these three frames follow each other in this order?

Misra, Zitnick and Hebert, "Shuffle and Learn: Unsupervised Learning using
Temporal Order Verification", ECCV 2016. Of five frames a < b < c < d < e of a
clip, (b, c, d) is right; (b, a, d) and (b, e, d) are wrong. The outer two are
the same kind of frames in all three, so that only the middle one tells. Time
has no direction here: every triple is turned round half of the time.

Ours: half of the triples are right, where the article has a quarter; frames
come from about a second of film, some chosen at random, where the article takes
those that move most; the head's layout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import clip_frames
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import words as words_lib

# Which of five frames in the order of time are shown: those in order, and
# those whose middle one lies before or after the others (release, sec. 3.1).
_RIGHT = (1, 2, 3)
_WRONG = ((1, 0, 3), (1, 4, 3))
_ANSWERS = ("shuffled", "in order")  # the index is the target


class FrameOrder(clip_frames.ClipFrames):
    """Three frames in, in order or not out."""

    name: ClassVar[str] = "frame_order"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="Are these three frames in order?",
        shows="three frames, over whether they are in order",
        result=(
            "It tells frames in order from shuffled ones {accuracy:.1%} of "
            "the time, a blind guess {chance_accuracy:.1%}."
        ),
        share_right="accuracy",
    )
    Config: ClassVar[type[base.TaskConfig]] = clip_frames.ClipFramesConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": clip_frames.ClipFramesConfig(
            short_side_px=72, crop_px=64, jitter_px=2, hidden_units=256
        ),
        "small": clip_frames.ClipFramesConfig(
            short_side_px=144, crop_px=128, jitter_px=4, hidden_units=512
        ),
        "paper": clip_frames.ClipFramesConfig(learning_rate=1e-4),
    }

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts three frames; `target` is int32 [], 1 where in order."""
        own = clip_frames.NUM_FRAMES + 3
        share = tf.random.stateless_uniform(
            [own + clip_frames.num_shares(3)], seed
        )
        five = clip_frames.chosen(5, share[3:own])
        is_right = share[0] < 0.5
        wrong = resize.between(0, len(_WRONG) - 1, share[1])
        order = tf.where(
            is_right, tf.constant(_RIGHT), tf.gather(tf.constant(_WRONG), wrong)
        )
        order = tf.where(share[2] < 0.5, order, order[::-1])
        numbers = tf.ensure_shape(tf.gather(five, order), [3])
        views = clip_frames.cut(
            self.config, example["frames"], numbers, share[own:]
        )
        return {"views": views, "target": tf.cast(is_right, tf.int32)}

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns logits float32 [B, 2] (layout: ours)."""
        width = self.config.hidden_units
        x = clip_frames.build_sequences(features, width, 3)  # [B, 3 * width]
        x = heads.hidden_dense(x, width, "head_hidden")
        return heads.logits(x, self.num_classes)

    @property
    def num_classes(self) -> int:
        return len(_ANSWERS)

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """The three frames, over the truth and what was said."""
        return np.concatenate(
            [
                drawing.row(
                    frames,
                    f"{_ANSWERS[truth]}, said {_ANSWERS[logits.argmax()]}",
                )
                for frames, truth, logits in zip(
                    self.to_displayed(views), target, prediction
                )
            ]
        )
