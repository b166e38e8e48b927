"""Training batches as a pure function of seed and step.

Nothing about the order of the data has to be saved: a run that resumes at
step n asks for batch n.
"""

from __future__ import annotations

from collections.abc import Iterator
import functools

import cv2
import numpy as np

from evaluation import made_ahead
from evaluation.depth import augmentation
from evaluation.depth import config as depth_config
from evaluation.depth import pairs as pairs_lib

# ours: shrunk pairs kept in memory: 0.5 MB each at 240 x 320.
_MAX_CACHED = 2000


class DepthBatches:
    """Augmented training batches.

    Args:
        pairs: to train on.
        config: sizes, batch size and augmentation.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        pairs: pairs_lib.DepthPairs,
        config: depth_config.DepthConfig,
        seed: int,
    ):
        self._pairs = pairs
        self._config = config
        self._seed = seed
        self._shrunk = functools.lru_cache(_MAX_CACHED)(self._read_shrunk)
        self._order = functools.lru_cache(2)(self._draw_order)

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the batch of a step, counted from 0.

        Returns:
            uint8 [B, h, w, 3], and float32 [B, h/2, w/2] in metres, 0 where
            missing.
        """
        size = self._config.batch_size
        positions = range(step * size, (step + 1) * size)
        examples = [self._example(position) for position in positions]
        pictures, depths = zip(*examples)
        return np.stack(pictures), np.stack(depths)

    def batches(
        self, start: int, stop: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields the batches of steps, the next one made ahead."""
        return made_ahead.made_ahead(self.batch, range(start, stop))

    def _example(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        epoch, place = divmod(position, len(self._pairs))
        rgb, depth_m = self._shrunk(int(self._order(epoch)[place]))
        rng = np.random.default_rng([self._seed, 1, position])
        return augmentation.augment(
            rgb, depth_m, self._config.augmentation, rng
        )

    def _draw_order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._seed, 0, epoch])
        return rng.permutation(len(self._pairs))

    def _read_shrunk(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        pair = self._pairs[index]
        height, width = self._config.picture_size
        rgb = cv2.resize(
            pair.rgb, (width, height), interpolation=cv2.INTER_AREA
        )
        depth_m = cv2.resize(
            pair.depth_m,
            (width, height),
            interpolation=cv2.INTER_NEAREST_EXACT,
        )
        return rgb, depth_m
