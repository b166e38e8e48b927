"""Verdicts, each beside losses for which a person would say the same."""

import re

import pytest
import written_run

from mtssl_tf.pages import task_record
from mtssl_tf.pages import verdict
from mtssl_tf.tasks import words


def _record(training, held_out, task="t", accuracy=0.25):
    lines = written_run.lines(training, held_out, task)
    lines[-1]["metrics"] = {"accuracy": accuracy}
    return task_record.load_task_records(lines)[task]


_WORDS = words.TaskWords(
    result="{accuracy:.0%} right, a guess {chance_accuracy:.1%}.",
    share_right="accuracy",
)


def _judge(training, held_out, trained_on=100, accuracy=0.25):
    record = _record(training, held_out, accuracy=accuracy)
    return verdict.judge(record, _WORDS, "picture", trained_on, 256)


# A blind guess gets 2.0. Training took 1.0 of it away: held out, 0.9 of that
# is 90 % of what was learned.
@pytest.mark.parametrize(
    "training, held_out, kind, said",
    [
        ((1.0,), (1.1,), verdict.LEARNS, "90% of what it learned holds"),
        ((1.0,), (0.9,), verdict.LEARNS, "All of what it learned holds"),
        ((1.0,), (1.6,), verdict.IN_PART, "40% .* its 100 pictures .*heart"),
        (
            (1.0,),
            (2.4,),
            verdict.BY_HEART,
            "100 pictures holds for these alone",
        ),
        ((1.0,), (1.99,), verdict.BY_HEART, "2.000"),
        ((1.99,), (1.8,), verdict.LEARNS, "All of what it learned holds"),
        ((2.1,), (1.8,), verdict.LEARNS, "All of what it learned holds"),
        ((2.1,), (1.99,), verdict.LEVEL, "not begun to learn"),
        ((1.99,), (2.01,), verdict.LEVEL, "not begun to learn"),
        ((4e13,), (4e13,), verdict.WORSE, "not begun to learn"),
        ((1.99,), (2.3,), verdict.BY_HEART, "2.300"),
        ((2.01,), (2.3,), verdict.WORSE, "2.300"),
    ],
)
def test_a_verdict_is_by_what_holds_for_new_ones(
    training, held_out, kind, said
):
    found = _judge(training, held_out)
    assert found.kind == kind
    assert re.search(said, found.reason), found.reason
    assert found.result == "25% right, a guess 12.5%."


def test_a_few_steps_tell_nothing():
    lines = written_run.lines((1.0,), (2.4,), "t")
    early = [line | {"task_step": 49} for line in lines]
    record = task_record.load_task_records(early)["t"]
    found = verdict.judge(record, _WORDS, "picture", 100, 256)
    assert found.kind == verdict.EARLY and "heart" not in found.reason


def test_without_a_judgement_there_is_none():
    found = _judge((1.5, 1.0, 0.5), ())
    assert found.kind == verdict.UNJUDGED and found.result == ""
    assert "1.000" in found.reason and "2.000" in found.reason


def test_who_is_right_and_too_sure_is_told_from_who_guesses():
    # Of 256 examples, chance 1/8 has a standard error of 0.0207.
    assert "far too sure" in _judge((1.0,), (2.4,), accuracy=0.19).reason
    assert "too sure" not in _judge((1.0,), (2.4,), accuracy=0.18).reason


def test_a_better_time_before_is_named():
    assert "best at step 10, with 1.200" in _judge((1.0,), (1.2, 1.6)).reason
    assert "best at" not in _judge((1.0,), (1.55, 1.6)).reason
    assert "best at" not in _judge((1.0,), (1.05, 1.1)).reason


def test_an_unknown_number_of_pictures_is_not_said():
    reason = _judge((1.0,), (2.4,), trained_on=None).reason
    assert "learned of its pictures holds for these alone" in reason


def test_the_last_tenth_of_training_counts():
    record = _record([2.0] * 60 + [1.0] * 5, ())
    # 7 of 65 lines: five of 1.0 and two of 2.0.
    assert record.measure().last_training() == pytest.approx(9 / 7)


def test_numbers_that_a_version_lacks_leave_the_sentence_out():
    assert _WORDS.tell({"accuracy": 0.5}, {}) == ""


def test_a_task_is_judged_by_the_measure_that_it_names():
    told = words.TaskWords(measure="entropy")
    lines = written_run.lines((1.0,), (0.5,), "t")
    record = task_record.load_task_records(lines)["t"]
    found = verdict.judge(record, told, "picture", 100, 256)
    assert found.kind == verdict.LEARNS and "Its loss is" in found.reason
    for line, value in zip(lines, (1.5, 3.5)):
        line["metrics"] = {"entropy": value}
        line["metrics_chance"] = {"entropy": 3.0}
    record = task_record.load_task_records(lines)["t"]
    found = verdict.judge(record, told, "picture", 100, 256)
    assert found.kind == verdict.BY_HEART
    assert "Its entropy is 1.500" in found.reason
