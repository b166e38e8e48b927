"""The skeleton of an evaluation command, apart from any evaluation."""

import pytest

from evaluation import command


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


def test_missing_flags_are_all_named():
    values = command.define_shared_flags(["tiny"], "tiny")
    values(["toy", "--trunk=x"])
    command.check_given(values, ("trunk",))
    with pytest.raises(ValueError, match="--out is required"):
        command.check_given(values, ("trunk", "out"))
    values(["toy", "--trunk="])
    with pytest.raises(ValueError, match="--trunk, --out are required"):
        command.check_given(values, ("trunk", "out"))


def test_two_evaluations_do_not_share_a_folder(tmp_path, capsys):
    # A kind of fault: nobody knew that somebody else wrote there.
    arguments = [f"--out={tmp_path / 'out'}"]

    def work(values):
        assert _run(arguments) == 2

    assert _run(arguments, work) == 0
    assert "is being written by process" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_nothing_half_written_stays_of_who_was_killed(tmp_path):
    (tmp_path / "saved_model.7-7.partial" / "variables").mkdir(parents=True)
    (tmp_path / "result.json.7-7.partial").write_text("{")
    (tmp_path / "result.json").write_text("{}")
    assert _run([f"--out={tmp_path}"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
