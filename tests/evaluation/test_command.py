"""The skeleton of an evaluation command, apart from any evaluation."""

import signal

import pytest

from evaluation import command


class _Stop:
    """Stands in for a signal that comes after some questions."""

    name = "SIGTERM"
    number = signal.SIGTERM

    def __init__(self, after):
        self._left = after

    @property
    def is_requested(self):
        self._left -= 1
        return self._left < 0


def _run(argv, work=lambda values: None):
    values = command.define_shared_flags(["tiny", "paper"], "tiny")
    return command.run("toy", "What toy does.", values, ["toy", *argv], work)


def test_shared_flags_and_defaults():
    values = command.define_shared_flags(["tiny", "paper"], "paper", ", or tea")
    values(["toy", "--trunk=x", "--lasso", "--seed=3"])
    assert (values.trunk, values.out, values.preset) == ("x", None, "paper")
    assert (values.lasso, values.seed) == (True, 3)
    assert "or tea." in " ".join(values.get_help().split())


def test_help_says_what_the_command_does(capsys):
    assert _run(["--help"]) == _run(["-h"]) == 0
    said = capsys.readouterr().out
    assert "What toy does." in said and "--trunk" in said


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--trnuk=x"], "trnuk"),
        (["stray"], "only flags here, got ['stray']"),
        (["--preset=huge"], "huge"),
        (["--seed=-1"], "seed"),
    ],
)
def test_a_mistaken_command_line_is_one_line(argv, said, capsys):
    assert _run(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("toy: ") and said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "kind", [ValueError, FileNotFoundError, OSError, FloatingPointError]
)
def test_a_users_mistake_in_the_work_is_one_line(kind, capsys):
    # A kind of fault: one copy of the skeleton knew a mistake less.
    def work(values):
        raise kind("no such tea")

    assert _run([], work) == 2
    assert capsys.readouterr().err == "toy: no such tea\n"


def test_a_fault_of_ours_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        _run([], lambda values: 1 / 0)


def test_missing_flags_are_all_named():
    values = command.define_shared_flags(["tiny"], "tiny")
    values(["toy", "--trunk=x"])
    command.check_given(values, ("trunk",))
    with pytest.raises(ValueError, match="--out is required"):
        command.check_given(values, ("trunk", "out"))
    values(["toy", "--trunk="])
    with pytest.raises(ValueError, match="--trunk, --out are required"):
        command.check_given(values, ("trunk", "out"))


def test_a_signal_ends_the_command_as_a_shell_reports_it(capsys):
    done = []

    def work(values):
        done.extend(command.until_stopped("abc", _Stop(2), "while testing"))

    assert _run([], work) == 128 + signal.SIGTERM
    said = capsys.readouterr().err
    assert "toy: stopped by SIGTERM while testing; the same command" in said


def test_without_a_signal_all_is_done():
    assert [*command.until_stopped("abc", _Stop(9), "here")] == [*"abc"]
    assert [*command.until_stopped("abc", None, "here")] == [*"abc"]
