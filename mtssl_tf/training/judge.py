"""How well a task does on pictures and clips kept out of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import functools

import numpy as np
import tensorflow as tf

from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.reports import metrics_window
from mtssl_tf.training import batches
from mtssl_tf.training import compiled
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import step


class Judge:
    """Judges one task on the same held-out batches every time.

    Batch norm uses the statistics of the batch, as in training: a task is
    one of several that share the moving statistics, which therefore describe
    none of them. A batch that is computed in parts there is so here, with
    the statistics, the negatives and the memory of a part. Nothing is changed
    by judging.
    """

    def __init__(
        self,
        state: step.TaskState,
        source: source_lib.Source,
        seed: int,
        num_batches: int,
        skipped: skipped_lib.SkippedExamples,
    ) -> None:
        self._state = state
        self._source = source
        self._seed = seed
        self._num_batches = num_batches
        self._skipped = skipped
        self._predict = compiled.compile_own(self._predict_and_score)

    @functools.cached_property
    def _batches(self) -> tf.data.Dataset:
        """Built at the first judgement: a run's first step is waited for."""
        task = self._state.task
        return batches.build_batches(
            task,
            self._source,
            self._seed,
            self._skipped,
            # Few held-out examples come up several times, distorted anew.
            num_positions=self._num_batches * task.config.batch_size,
        )

    def judge(self, check: Callable[[], None]) -> dict[str, float]:
        """Returns `loss` and the metrics, each the mean over examples.

        Args:
            check: called before each part; may raise, to cut this short.
        """
        sums: dict[str, list[np.ndarray]] = {}
        for batch in source_lib.iterate(self._batches, self._source):
            for part in self._parts(batch):
                check()
                _, _, values = self._predict(part)
                for name, value in values.items():
                    sums.setdefault(name, []).append(value.numpy())
        return {
            name: float(metrics_window.mean_without_nan(np.concatenate(values)))
            for name, values in sums.items()
        }

    def draw(self, num_examples: int) -> np.ndarray:
        """Returns a picture of the first examples, uint8 [H, W, 3]."""
        batch = next(source_lib.iterate(self._batches, self._source))
        inputs, prediction, _ = self._predict(next(self._parts(batch)))
        return self._state.task.draw(
            inputs["views"][:num_examples].numpy(),
            inputs["target"][:num_examples].numpy(),
            prediction[:num_examples].numpy(),
        )

    def _parts(
        self, batch: dict[str, tf.Tensor]
    ) -> Iterator[dict[str, tf.Tensor]]:
        """Yields what a batch is computed in."""
        num_parts = self._state.task.num_parts
        for number in range(num_parts):
            yield step.part_of(batch, number, num_parts)

    def _predict_and_score(
        self, batch: dict[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, dict[str, tf.Tensor]]:
        inputs = self._state.task.color(batch)
        prediction = step.predict_without_update(self._state, inputs["views"])
        target = inputs["target"]
        values = self._state.task.metrics(prediction, target)
        values["loss"] = self._state.task.loss(prediction, target)
        return inputs, prediction, values


def build_judges(run: run_lib.Run) -> dict[str, Judge]:
    """Returns a judge for each task that has held-out examples."""
    judges = {}
    for name, state in run.states.items():
        held_out = run.source_of(state.task).held_out
        if held_out is not None:
            judges[name] = Judge(
                state,
                held_out,
                run.config.train.seed,
                run.config.train.judge_batches,
                run.skipped,
            )
    return judges
