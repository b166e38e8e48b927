"""Odd one out: which of these sequences of frames is in a wrong order?

Fernando, Bilen, Gavves and Gould, "Self-Supervised Video Representation
Learning With Odd-One-Out Networks", CVPR 2017 (reference [10] of the paper,
sec. 7). Several sequences of a few frames each come from one clip, in the
order of time but for one, which is shuffled; the answer is which. Since the
others show which way time runs, a sequence that runs backwards is wrong, too.

Ours: three sequences of three frames; every frame is seen by itself, where
the original encodes a sequence as one image, so that the trunk stays one of
pictures; the head's layout.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import itertools
from typing import ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import resize
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.tasks import base
from mtssl_tf.tasks import clip_frames
from mtssl_tf.tasks import drawing
from mtssl_tf.tasks import heads
from mtssl_tf.tasks import words as words_lib

LENGTH = 3  # ours: frames of a sequence
# All orders but the right one.
_WRONG = tuple(itertools.permutations(range(LENGTH)))[1:]


@dataclasses.dataclass(frozen=True)
class OddOneOutConfig(clip_frames.ClipFramesConfig):
    """Options of odd one out, beside those of `ClipFramesConfig`.

    Attributes:
        num_sequences: of which one is shuffled.
    """

    num_sequences: int = settings.ranged(3, at_least=2)


class OddOneOut(clip_frames.ClipFrames):
    """Sequences of frames in, the shuffled one out."""

    name: ClassVar[str] = "odd_one_out"
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords(
        question="Which of these sequences of frames is in a wrong order?",
        shows="the sequences, over which one is shuffled",
        result=(
            "It finds the shuffled sequence {accuracy:.1%} of the time, a "
            "blind guess {chance_accuracy:.1%}."
        ),
        share_right="accuracy",
    )
    Config: ClassVar[type[base.TaskConfig]] = OddOneOutConfig
    presets: ClassVar[Mapping[str, base.TaskConfig]] = {
        "tiny": OddOneOutConfig(
            batch_size=16,
            short_side_px=56,
            crop_px=48,
            jitter_px=2,
            hidden_units=256,
        ),
        "small": OddOneOutConfig(
            batch_size=16,
            short_side_px=112,
            crop_px=96,
            jitter_px=4,
            hidden_units=512,
        ),
        # Nine views an example: at half of the usual side they cost as two.
        "paper": OddOneOutConfig(
            batch_size=16,
            short_side_px=128,
            crop_px=112,
            jitter_px=4,
            learning_rate=1e-4,
        ),
    }

    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts all sequences; `target` is int32 [], the shuffled one."""
        num_sequences = self.config.num_sequences
        num_views = num_sequences * LENGTH
        own = 2 + num_sequences * clip_frames.NUM_FRAMES
        share = tf.random.stateless_uniform(
            [own + clip_frames.num_shares(num_views)], seed
        )
        odd = resize.between(0, num_sequences - 1, share[0])
        wrong = tf.gather(
            tf.constant(_WRONG), resize.between(0, len(_WRONG) - 1, share[1])
        )
        numbers = []
        for number in range(num_sequences):
            first = 2 + number * clip_frames.NUM_FRAMES
            frames = clip_frames.chosen(
                LENGTH, share[first : first + clip_frames.NUM_FRAMES]
            )
            order = tf.where(odd == number, wrong, tf.range(LENGTH))
            numbers.append(tf.gather(frames, order))
        views = clip_frames.cut(
            self.config,
            example["frames"],
            tf.ensure_shape(tf.concat(numbers, 0), [num_views]),
            share[own:],
        )
        return {"views": views, "target": odd}

    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Returns logits float32 [B, num_sequences] (layout: ours)."""
        width, number = self.config.hidden_units, self.config.num_sequences
        x = clip_frames.build_sequences(features, width, LENGTH)
        x = heads.hidden_dense(x, width, "head_sequence")
        x = keras.ops.reshape(x, (-1, number * width))
        x = heads.hidden_dense(x, width, "head_hidden")
        return heads.logits(x, number)

    @property
    def num_classes(self) -> int:
        return self.config.num_sequences

    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """The frames of all sequences, with white between those."""
        rows = []
        for frames, truth, logits in zip(
            self.to_displayed(views), target, prediction
        ):
            gap = np.full_like(frames[0][:, : frames.shape[2] // 4], 255)
            cells: list[np.ndarray] = []
            for first in range(0, len(frames), LENGTH):
                cells += [*frames[first : first + LENGTH], gap]
            text = f"sequence {truth + 1}, said {logits.argmax() + 1}"
            rows.append(drawing.row(cells[:-1], text))
        return np.concatenate(rows)
