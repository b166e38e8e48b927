"""What goes wrong in training without an error, noticed early and in words.

The watch is fed with numbers that training has at hand, and says what is
wrong once, with what to try. It is plain Python: a recorded series does as
well as a run. `health_check.py` feeds it in the training loop.

The limits were set beside the losses of healthy runs of all tasks at the tiny
preset, from the first step on; each constant says how far off they stayed.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping
import dataclasses
import statistics

from mtssl_tf.tasks import base
from mtssl_tf.training import task_record

LOSS_GROWS = "loss_grows"
WEIGHTS_GROW = "weights_grow"
FEATURES_GROW = "features_grow"
GRADIENTS_VANISH = "gradients_vanish"
EMBEDDING_COLLAPSES = "embedding_collapses"
STUCK_AT_CHANCE = "stuck_at_chance"
TASKS_OPPOSE = "tasks_oppose"
WORKER_DIED = "worker_died"
KILLED = "killed"

_DAMAGE = (LOSS_GROWS, WEIGHTS_GROW, FEATURES_GROW, EMBEDDING_COLLAPSES)

TRUNK = "the trunk"

# Steps between measurements of weights and between those of gradients.
NORM_EVERY = 25  # ours: reads each weight once, in 25 steps
COMPARE_EVERY = 25  # ours: eight make an opinion, in 200 steps

# ours: a blind guess's loss is what a task has that knows nothing; much more
# than that comes of weights that are being destroyed.
_LOSS_LIMIT = 3.0
# ours: in 200 steps. Weights that grow so fast grow exponentially.
_WEIGHTS_LIMIT = 2.0
# ours: in 200 steps too. A trunk with batch norm takes 4000 to grow by 2.4; a
# VGG without grows by 6 in 200.
_FEATURES_LIMIT = 3.0
_NORMS_KEPT = 1 + 200 // NORM_EVERY
# ours: of the gradient at the start of this training. It falls by a factor of
# some ten while a task is learned.
_VANISHING = 1e-4
_ZERO = 1e-7  # ours: RMSProp's epsilon hides what is this small
# ours: a task that is this well done needs no gradient any more.
_SOLVED = 0.05
# ours: of the cosine's mean over so many measurements. Single ones of healthy
# tasks lie between -0.5 and 0.65, their means between -0.2 and 0.3.
_OPPOSED = -0.5
_COSINES = 8
# ours: own steps before the notice, at which a trouble may have begun.
_BEGAN = {
    LOSS_GROWS: 2 * task_record.RECENT,
    EMBEDDING_COLLAPSES: task_record.COLLAPSE_AFTER,
}
# ours: what has passed and comes again after so many steps is said again.
_SAID_AGAIN_AFTER = 1000


@dataclasses.dataclass(frozen=True)
class Trouble:
    """What is wrong.

    Attributes:
        kind: one of this module's, as `loss_grows`.
        subject: a task's name, two of them, or `TRUNK`.
        message: what was seen and what to try.
        since: steps of all tasks, ago, at which it may have begun.
    """

    kind: str
    subject: str
    message: str
    since: int

    @property
    def is_damage(self) -> bool:
        """Whether it spoils what was learned before."""
        return self.kind in _DAMAGE


class HealthWatch:
    """Watches what all tasks of a run do."""

    def __init__(
        self, tasks: Mapping[str, base.Task], is_resumed: bool = False
    ) -> None:
        """Starts to watch.

        Args:
            tasks: of the run.
            is_resumed: whether there were steps before. Nothing is known of
                them, so that a loss may well stand still from the start.
        """
        self._tasks = {
            name: task_record.TaskRecord(task, is_resumed)
            for name, task in tasks.items()
        }
        self._norms: dict[str, collections.deque[float]] = {}
        self._sizes: dict[str, collections.deque[float]] = {}
        self._cosines: dict[tuple[str, str], collections.deque[float]] = {}
        self._num_steps = 0
        self._said: dict[tuple[str, str], int] = {}
        self._lasting: set[tuple[str, str]] = set()
        self._new: list[Trouble] = []

    def add_steps(
        self,
        task: str,
        values: Mapping[str, float],
        gradient_norm: float | None = None,
        num_steps: int = 1,
    ) -> None:
        """Adds what a task's steps gave.

        Args:
            task: its name.
            values: `loss` and metrics, of one step or means over several.
            gradient_norm: of what the task trains; None if nobody measured.
            num_steps: that the values are means over.
        """
        record = self._tasks[task]
        self._num_steps += num_steps
        record.add(values, gradient_norm, num_steps, self._num_steps)
        self._look_at_loss(task, record)
        self._look_at_gradient(task, record)
        self._look_at_embedding(task, record)
        self._look_at_progress(task, record)

    def add_weight_norms(self, norms: Mapping[str, float]) -> None:
        """Adds norms of weights, every `NORM_EVERY` steps.

        Args:
            norms: `TRUNK` or a task's name, for its head -> norm.
        """
        for part, norm in norms.items():
            kept = self._norms.setdefault(
                part, collections.deque(maxlen=_NORMS_KEPT)
            )
            kept.append(norm)
            message = None
            if norm > _WEIGHTS_LIMIT * min(kept):
                owner = part if part == TRUNK else f"{part}'s head"
                message = (
                    f"The weights of {owner} grow without end: their norm "
                    f"went from {min(kept):.4g} to {norm:.4g} within "
                    f"{NORM_EVERY * (_NORMS_KEPT - 1)} steps. "
                    f"{_lower_rate(self._blame(part))}"
                )
            self._tell(WEIGHTS_GROW, part, message)

    def add_feature_sizes(self, sizes: Mapping[str, float]) -> None:
        """Adds how large features are, every `NORM_EVERY` steps.

        Args:
            sizes: a task's name -> standard deviation of what its head reads.
        """
        message = None
        for task, size in sizes.items():
            kept = self._sizes.setdefault(
                task, collections.deque(maxlen=_NORMS_KEPT)
            )
            kept.append(size)
            if size > _FEATURES_LIMIT * min(kept):
                message = (
                    "The trunk's features grow without end: the standard "
                    f"deviation of those that {task} reads went from "
                    f"{min(kept):.4g} to {size:.4g} within "
                    f"{NORM_EVERY * (len(kept) - 1)} steps. Heads normalise "
                    "them, so that no loss shows it. Train a trunk.family "
                    "with batch norm, in a new --workdir. Or: "
                    f"{_lower_rate(self._blame(TRUNK))}"
                )
        self._tell(FEATURES_GROW, TRUNK, message)

    def add_cosines(self, cosines: Mapping[tuple[str, str], float]) -> None:
        """Adds cosines of tasks' gradients, every `COMPARE_EVERY` steps.

        Args:
            cosines: two tasks' names -> cosine on the trunk.
        """
        for (first, second), cosine in cosines.items():
            kept = self._cosines.setdefault(
                (first, second), collections.deque(maxlen=_COSINES)
            )
            kept.append(cosine)
            mean = statistics.fmean(kept)
            message = None
            if len(kept) == _COSINES and mean < _OPPOSED:
                message = (
                    f"{first} and {second} pull the trunk in opposite "
                    f"directions: the cosine of their gradients was {mean:.2f} "
                    f"in the mean of {_COSINES} measurements. Give one of them "
                    f"less weight (--set {first}.weight=...), or train with "
                    "--lasso, where each reads the units that serve it, or "
                    "with --harmonize."
                )
            self._tell(TASKS_OPPOSE, f"{first}, {second}", message)

    def add_death(self, subject: str, message: str) -> None:
        """Adds that something which should live has died."""
        self._tell(WORKER_DIED, subject, message)

    def take_new(self) -> list[Trouble]:
        """Returns what has not been said yet."""
        new, self._new = self._new, []
        return new

    def is_damaged(self) -> bool:
        """Returns whether a trouble lasts that spoils what was learned."""
        return any(kind in _DAMAGE for kind, _ in self._lasting)

    def _look_at_loss(self, task: str, record: task_record.TaskRecord) -> None:
        loss = record.recent_loss()
        if loss is None:
            return
        message = None
        if loss > _LOSS_LIMIT * record.chance:
            message = (
                f"The loss of {task} grows without end: {loss:.4g} in the "
                f"median of its last {task_record.RECENT} steps, where a "
                f"blind guess gets {record.chance:.3f}. {_lower_rate(task)}"
            )
        self._tell(LOSS_GROWS, task, message)

    def _look_at_gradient(
        self, task: str, record: task_record.TaskRecord
    ) -> None:
        loss, norm = record.recent_loss(), record.recent_gradient()
        if loss is None or norm is None:
            return
        message = None
        is_gone = norm < max(_ZERO, _VANISHING * record.first_gradient)
        if is_gone and loss > _SOLVED * record.chance:
            message = (
                f"The gradients of {task} vanish: their norm is {norm:.2g} and "
                f"was {record.first_gradient:.2g} at the start, while its loss "
                f"is {loss:.3f} and a blind guess gets {record.chance:.3f}. "
                f"It learns no more. {_lower_rate(task)} If that does not "
                "help, start anew with another train.seed."
            )
        self._tell(GRADIENTS_VANISH, task, message)

    def _look_at_embedding(
        self, task: str, record: task_record.TaskRecord
    ) -> None:
        means = record.recent_values()
        if means is None:
            return
        message = None
        if record.task.has_collapsed(means):
            message = (
                f"The embedding of {task} has collapsed: it gives nearly the "
                f"same vector whatever it sees ({_listed(means)}). "
                f"{_lower_rate(task)} A larger {task}.batch_size helps too, "
                "in a new --workdir."
            )
        self._tell(EMBEDDING_COLLAPSES, task, message)

    def _look_at_progress(
        self, task: str, record: task_record.TaskRecord
    ) -> None:
        if not record.is_progress_due():
            return
        loss = record.loss_if_stuck()
        message = None
        if loss is not None:
            message = (
                f"{task} is stuck at chance: its loss is {loss:.3f} in the "
                f"mean of its last {task_record.STUCK_MEAN} steps, and a "
                f"blind guess gets {record.chance:.3f}. Look at its pictures "
                "in TensorBoard: can you tell what it is to tell? If so, go "
                "on with another rate, ten times lower or higher (--set "
                f"{task}.learning_rate={record.rate / 10:.2g}), or train for "
                "longer."
            )
        self._tell(STUCK_AT_CHANCE, task, message)

    def _tell(self, kind: str, subject: str, message: str | None) -> None:
        """Says a trouble when it comes, once while it lasts.

        Args:
            kind: of the trouble.
            subject: what has it.
            message: what to say; None where there is no such trouble.
        """
        key = (kind, subject)
        if message is None:
            self._lasting.discard(key)
            return
        if key in self._lasting:
            return
        self._lasting.add(key)
        last = self._said.get(key)
        if last is None or self._num_steps - last >= _SAID_AGAIN_AFTER:
            self._said[key] = self._num_steps
            since = min(self._num_steps, NORM_EVERY * _NORMS_KEPT)
            if kind in _BEGAN:
                began = self._tasks[subject].when(_BEGAN[kind])
                since = self._num_steps - began
            self._new.append(Trouble(kind, subject, message, since))

    def _blame(self, part: str) -> str:
        """Returns the task that most likely makes weights grow."""
        if part != TRUNK:
            return part
        return max(self._tasks, key=lambda name: self._tasks[name].excess())


def _lower_rate(task: str) -> str:
    return (
        "Lower its learning rate, by ten at first: --set "
        f"{task}.learning_rate=..."
    )


def _listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3f}" for name, value in values.items())
