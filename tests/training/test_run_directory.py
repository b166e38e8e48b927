"""A run goes on with what may change, and with nothing else.

Kinds of fault: paths compared as text; a half-written file that blocks the
next start; advice that is refused where it was given.
"""

import codecs
import dataclasses
import json
import os

import pytest

from mtssl_tf import config as config_lib
from mtssl_tf.process import lock
from mtssl_tf.training import run_directory
from mtssl_tf.training import schedule


def _config(*assignments, images="pics"):
    config = config_lib.preset_config("tiny", ["exemplar", "colorization"])
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, images=images)
    )
    return config_lib.override(config, *assignments)


def _history(workdir):
    return json.loads((workdir / "config.json").read_text())["history"]


@pytest.mark.parametrize(
    "assignment",
    [
        "exemplar.learning_rate=1e-5",
        "colorization.weight=2",
        "train.log_every=7",
        "train.save_every=7",
        "train.steps=7",
        "data.num_fit=7",
    ],
)
def test_what_does_no_harm_may_change_and_is_remembered(tmp_path, assignment):
    run_directory.prepare(tmp_path, _config())
    assert _history(tmp_path) == []
    run_directory.prepare(tmp_path, _config(assignment))
    (entry,) = _history(tmp_path)
    name, _, value = assignment.partition("=")
    (change,) = entry["changes"]
    assert name in change and str(float(value)).rstrip("0.")[:4] in change
    assert entry["command"] and entry["time"] and entry["version"]
    # Going on as it is now adds nothing; back is a change again.
    run_directory.prepare(tmp_path, _config(assignment))
    assert len(_history(tmp_path)) == 1
    run_directory.prepare(tmp_path, _config())
    assert len(_history(tmp_path)) == 2


@pytest.mark.parametrize(
    "assignment",
    ["train.seed=1", "trunk.width=0.5", "exemplar.batch_size=8"],
)
def test_what_makes_another_run_may_not(tmp_path, assignment):
    run_directory.prepare(tmp_path, _config())
    key = assignment.partition("=")[0].split(".")[1]
    with pytest.raises(ValueError, match=f"other settings .*{key}"):
        run_directory.prepare(tmp_path, _config(assignment))


def test_settings_of_any_editor_are_read_and_a_pipe_is_not(tmp_path):
    run_directory.prepare(tmp_path, _config())
    path = tmp_path / "config.json"
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    run_directory.prepare(tmp_path, _config())
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match=f"Is a pipe.*{path}"):
        run_directory.prepare(tmp_path, _config())


def test_a_path_in_other_words_is_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    run = tmp_path / "run"
    run_directory.prepare(run, _config(images="pics"))
    for images in ("pics/", "./pics", str(tmp_path / "pics")):
        run_directory.prepare(run, _config(images=images))
    with pytest.raises(ValueError, match="data.images"):
        run_directory.prepare(run, _config(images="elsewhere"))


def test_what_a_full_disk_left_does_not_block_the_next_start(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json.12-34.partial").write_text("{")
    with run_directory.hold(run):
        run_directory.prepare(run, _config())
    assert sorted(os.listdir(run)) == ["config.json"]


def test_somebody_elses_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with run_directory.hold(tmp_path):
        with pytest.raises(ValueError, match="not empty"):
            run_directory.prepare(tmp_path, _config())
    assert os.listdir(tmp_path) == ["thesis.txt"]


def test_two_runs_do_not_share_a_folder(tmp_path):
    with run_directory.hold(tmp_path):
        with pytest.raises(lock.LockedError, match="is being written by"):
            with run_directory.hold(tmp_path):
                pass


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[]", "an object of settings"),
        ('{"format": 99, "version": "7.0"}', "format is 99, of version 7.0"),
        ('{"format": "x"}', "format is 'x'"),
        ("{}", "another version"),
    ],
)
def test_damaged_settings_are_named(tmp_path, text, said):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=rf"config\.json: .*{said}"):
        run_directory.prepare(tmp_path, _config())


@pytest.mark.parametrize(
    "section, key, value",
    [
        ("train", "seed", [1]),
        ("train", "momentum", -1),
        ("train", "steps", 2.5),
        ("train", "probe", 3),
        ("trunk", "bn_decay", [0.9]),
        ("data", "num_fit", "many"),
    ],
)
def test_values_in_the_file_are_checked_like_typed_ones(
    tmp_path, section, key, value
):
    run_directory.prepare(tmp_path, _config())
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    stored[section][key] = value
    path.write_text(json.dumps(stored))
    with pytest.raises(ValueError, match=rf"config\.json: .*{key} must be"):
        run_directory.prepare(tmp_path, _config())


def test_new_weights_count_from_where_they_were_given(tmp_path):
    # A kind of fault: a setting that may change, with harm: the task whose
    # weight was raised had thousands of turns in a row.
    def since(weights, steps):
        return run_directory.load_start_of_weights(tmp_path, weights, steps)

    equal, raised = {"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 3.0}
    assert since(equal, {"a": 0, "b": 0}) == {"a": 0, "b": 0}
    assert since(equal, {"a": 50, "b": 50}) == {"a": 0, "b": 0}
    assert since(raised, {"a": 60, "b": 60}) == {"a": 60, "b": 60}
    assert since(raised, {"a": 61, "b": 63}) == {"a": 60, "b": 60}
    steps, turns = {"a": 60, "b": 60}, ""
    for _ in range(8):
        name = schedule.next_task(steps, raised, since(raised, steps))
        steps[name] += 1
        turns += name
    assert turns == "bbabbbab"


def test_an_earlier_versions_run_with_new_weights(tmp_path):
    run_directory.prepare(tmp_path, _config())
    run_directory.prepare(tmp_path, _config("exemplar.weight=2"))
    weights = {"exemplar": 2.0, "colorization": 1.0}
    steps = {"exemplar": 9, "colorization": 9}
    found = run_directory.load_start_of_weights(tmp_path, weights, steps)
    assert found == steps


@pytest.mark.parametrize(
    "name", ["checkpoints", "facts", "pictures", "snapshots", "tensorboard"]
)
@pytest.mark.parametrize("is_link", [False, True])
def test_what_is_no_folder_is_not_taken_for_an_empty_one(
    tmp_path, name, is_link
):
    """The kind: a run whose checkpoints are away starts over."""
    path = tmp_path / name
    if is_link:
        path.symlink_to(tmp_path / "disk that is away")
    else:
        path.write_text("")
    with pytest.raises(NotADirectoryError, match=f"{name} is .*Mount"):
        with run_directory.hold(tmp_path):
            pass
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    "file, text",
    [
        ("facts/exemplar.npz", ""),
        ("facts/exemplar.npz", "PK\3\4"),
        ("facts/exemplar.npz", "text"),
        ("weights.json", '{"weights": {"exemplar": 1.0}}'),
        ("weights.json", '{"weights": {"exemplar": 1.0}, "since": [1]}'),
        ("config.json", '{"history": null}'),
        ("config.json", '{"history": [{"a": 1}]}'),
        ("config.json", '{"history": {"a": 1}}'),
    ],
)
def test_a_file_that_parses_and_is_damaged_is_named(tmp_path, file, text):
    """The kind: trust in a file because it is there."""
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=f"{file} is damaged"):
        run_directory.load_facts(tmp_path, "exemplar")
        run_directory.load_start_of_weights(
            tmp_path, {"exemplar": 1.0}, {"exemplar": 3}
        )
