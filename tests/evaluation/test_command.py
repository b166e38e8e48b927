"""The skeleton of an evaluation command, apart from any evaluation."""

import dataclasses

import pytest

from evaluation import command
from mtssl_tf import config as config_lib
from mtssl_tf.files import hub
from mtssl_tf.training import run_directory


def _run(argv, work=lambda values: None):
    values = command.define_shared_flags(["tiny", "paper"])
    return command.run("toy", "What toy does.", values, ["toy", *argv], work)


def test_shared_flags_and_defaults():
    values = command.define_shared_flags(["tiny", "paper"], ", or tea")
    values(["toy", "--trunk=x", "--lasso", "--seed=3"])
    assert (values.trunk, values.out, values.preset) == ("x", None, None)
    assert (values.lasso, values.seed) == (True, 3)
    assert "or tea." in " ".join(values.get_help().split())


@pytest.mark.parametrize(
    "trained_at, asked, expected",
    [
        ("paper", None, "paper"),
        ("paper", "tiny", "tiny"),
        ("small", None, "tiny"),  # has no protocol of its own here
        ("", None, "paper"),  # imported weights
        (None, None, "paper"),  # a TF-Slim checkpoint
        ("random", None, "tiny"),
        ("random:vgg16", None, "tiny"),
        ("pixels", None, "tiny"),
    ],
)
@pytest.mark.parametrize("is_on_hub", [False, True])
def test_the_preset_is_the_trunks_own(
    tmp_path, monkeypatch, trained_at, asked, expected, is_on_hub
):
    # A kind of fault: three commands had a default each, and a trunk of the
    # paper's size was judged on pictures of 96 pixels without a word; so was
    # one on the hub.
    trunk = str(tmp_path / "run")
    if trained_at in ("", "paper", "small"):
        config = config_lib.preset_config(trained_at or "tiny", ["exemplar"])
        run_directory.prepare(
            tmp_path / "run", dataclasses.replace(config, preset=trained_at)
        )
    elif trained_at:
        trunk = trained_at
    if is_on_hub:
        monkeypatch.setattr(
            hub, "download", {"hf://me/x": tmp_path / "run"}.get
        )
        trunk = trunk if trunk == trained_at else "hf://me/x"
    arguments = [f"--trunk={trunk}", *([f"--preset={asked}"] if asked else [])]
    found = []

    def work(values):
        found.append(command.with_preset(values, lambda preset: preset))

    assert _run(arguments, work) == 0
    assert found == [expected]


def test_nothing_is_downloaded_for_a_mistake(monkeypatch, capsys):
    monkeypatch.setattr(hub, "download", None)

    def work(values):
        command.check_given(values, ("trunk", "out"))

    assert _run(["--trunk=hf://me/x"], work) == 2
    assert "--out is required" in capsys.readouterr().err

    def mistaken(preset):
        raise ValueError("stpes is no setting")

    def work_on(values):
        command.with_preset(values, mistaken)

    assert _run(["--trunk=hf://me/x"], work_on) == 2
    assert "stpes" in capsys.readouterr().err
    assert _run(["--trunk=hf://me/x", "--help"]) == 0


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
    values = command.define_shared_flags(["tiny"])
    values(["toy", "--trunk=x"])
    command.check_given(values, ("trunk",))
    with pytest.raises(ValueError, match="--out is required"):
        command.check_given(values, ("trunk", "out"))
    values.unparse_flags()
    values(["toy"])
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
