"""What a task has learned, in words: for the page, and for the terminal.

A task is judged by its loss, or the measure that its words name, on examples
that it was never trained on, beside what a blind guess gets. What that fell by
on training examples is what it learned in all; the share of it that is there
on held-out ones as well holds for new examples, and the rest was learned by
heart.
"""

from __future__ import annotations

import dataclasses
import math

from mtssl_tf.pages import task_record
from mtssl_tf.reports import words
from mtssl_tf.tasks import words as words_lib

LEARNS = "learns"
IN_PART = "learns, and overfits"
BY_HEART = "overfits"
LEVEL = "level with a blind guess"
WORSE = "worse than a blind guess"
EARLY = "too early to tell"
UNJUDGED = "not judged"

# ours: own steps of a task. Before, what its few batches were matters more
# than what it has learned of them.
_MIN_STEPS = 50
# ours: of what a blind guess gets. A mean over some hundred held-out examples
# that is nearer to it than this may be chance.
_BAND = 0.03
_MOST = 0.75  # ours: of what was learned, if it holds a task generalises
_SURE = 3.0  # ours: standard errors
# ours: of what held-out examples were judged to have learned at the best time.
_FALLEN = 0.8


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A judgement on one task.

    Attributes:
        kind: one of this module's, for people and programs.
        result: the last judgement's figures in a sentence; '' for none.
        reason: why it is of that kind, in sentences.
    """

    kind: str
    result: str
    reason: str


def judge(
    record: task_record.TaskRecord,
    told: words_lib.TaskWords,
    noun: str,
    trained_on: int | None,
    num_judged: int,
) -> Verdict:
    """Returns the verdict on a task.

    Args:
        record: of the task.
        told: its words.
        noun: what one of its examples comes from, 'picture' or 'clip'.
        trained_on: how many of them were trained on, if that is known.
        num_judged: examples that each judgement is a mean over.
    """
    measure = record.measure(told.measure)
    if not measure.held_out:
        return Verdict(UNJUDGED, "", _unjudged(measure))
    kind = EARLY if record.num_steps < _MIN_STEPS else _kind(measure)
    reason = (
        f"Its {shown(measure.name)} is {measure.last_training():.3f} on what "
        f"it trains on and {measure.held_out[-1][1]:.3f} on what was held "
        f"out; a blind guess gets {measure.chance:.3f}. "
        f"{_meaning(measure, kind, noun, trained_on)}"
    )
    if kind == BY_HEART:
        reason += _but_right(record, told, num_judged)
    if kind in (IN_PART, BY_HEART):
        reason += _best_time(measure)
    last = record.held_out[-1]
    return Verdict(kind, told.tell(last.metrics, record.metrics_chance), reason)


def shown(name: str) -> str:
    """Returns a measure's name in words."""
    return name.replace("_", " ")


def _kind(measure: task_record.Measure) -> str:
    held_out = measure.held_out[-1][1] / measure.chance
    if held_out > 1 + _BAND:
        return BY_HEART if _gain(measure) > 0 else WORSE
    if _gain(measure) < _BAND:
        # Views of held-out examples may be easier than training's.
        return LEARNS if held_out < 1 - _BAND else LEVEL
    if _kept(measure) >= _MOST:
        return LEARNS
    return IN_PART if held_out < 1 - _BAND else BY_HEART


def _meaning(
    measure: task_record.Measure,
    kind: str,
    noun: str,
    trained_on: int | None,
) -> str:
    """Returns what the numbers mean, in a sentence."""
    seen = f"its {noun}s"
    if trained_on is not None:
        seen = f"its {words.counted(trained_on, noun)}"
    if kind == EARLY:
        return f"That is after fewer than {_MIN_STEPS} steps of its own."
    if kind in (LEVEL, WORSE):
        return "It has not begun to learn."
    if kind == BY_HEART:
        return (
            f"What it has learned of {seen} holds for these alone: on new ones "
            f"its {shown(measure.name)} is no better than a guess's."
        )
    kept = _kept(measure)
    share = "All" if kept >= 1 else f"{kept:.0%}"
    told = f"{share} of what it learned holds for new {noun}s"
    if kind == LEARNS:
        return f"{told}."
    return f"{told}; the rest is {seen} learned by heart."


def _gain(measure: task_record.Measure) -> float:
    """Returns what training took away, as a share of a blind guess's."""
    return 1 - measure.last_training() / measure.chance


def _kept(measure: task_record.Measure) -> float:
    """Returns which share of that is gone on held-out examples too."""
    held_out = 1 - measure.held_out[-1][1] / measure.chance
    if _gain(measure) > 0:
        return held_out / _gain(measure)
    return math.inf if held_out > 0 else 0.0


def _unjudged(measure: task_record.Measure) -> str:
    return (
        f"Its {shown(measure.name)} is {measure.last_training():.3f} on what "
        f"it trains on; a blind guess gets {measure.chance:.3f}. Nothing has "
        "been judged on held-out examples so far, so that nobody knows what "
        "of it holds."
    )


def _but_right(
    record: task_record.TaskRecord,
    told: words_lib.TaskWords,
    num_judged: int,
) -> str:
    """Returns a sentence where it is right more often than by chance."""
    share = record.held_out[-1].metrics.get(told.share_right)
    chance = record.metrics_chance.get(told.share_right)
    if share is None or chance is None or not num_judged:
        return ""
    error = math.sqrt(max(chance * (1 - chance), 0.0) / num_judged)
    if share <= chance + _SURE * error:
        return ""
    return (
        f" It is right more often than a guess ({share:.1%} against "
        f"{chance:.1%}), but far too sure where it is wrong."
    )


def _best_time(measure: task_record.Measure) -> str:
    """Returns a sentence where held-out examples were better before."""
    step, best = min(measure.held_out, key=lambda pair: pair[1])
    now = measure.chance - measure.held_out[-1][1]
    then = measure.chance - best
    if then < _BAND * measure.chance or now >= _FALLEN * then:
        return ""
    return (
        f" It was best at step {step:,}, with {best:.3f}: since then it gets "
        "worse on new ones."
    )
