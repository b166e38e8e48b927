"""The newest whole checkpoint is found whatever became of the others.

Kinds of fault: a file is trusted because it is there; a folder's name is
taken as a pattern; a process that was killed leaves half of something.
"""

import json
import logging
import os
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from mtssl_tf.training import checkpoint_folder


class _State:
    """A state that says which step it is of."""

    def __init__(self, folder, keep=3):
        self.value = tf.Variable(tf.zeros([1000]))
        self.folder = checkpoint_folder.CheckpointFolder(
            folder, tf.train.Checkpoint(value=self.value), keep
        )

    def save(self, number):
        self.value.assign(tf.fill([1000], float(number)))
        return self.folder.save(number)

    def step(self):
        return int(self.value[0])


@pytest.fixture(params=["run", "exp[1]*{a}?"])
def folder(request, tmp_path):
    folder = tmp_path / request.param / "checkpoints"
    state = _State(folder)
    for number in (2, 4):
        state.save(number)
    return folder


def _restored(folder):
    state = _State(folder)
    number = state.folder.restore()
    assert number is None or state.step() == number
    return number


def _truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _empty(path):
    os.truncate(path, 0)


def test_any_folder_goes_on_and_keeps_the_last_few(folder):
    state = _State(folder)
    assert state.folder.restore() == 4 and state.step() == 4
    for number in (6, 8):
        state.save(number)
    assert checkpoint_folder.numbers(folder) == [8, 6, 4]
    assert checkpoint_folder.newest(folder) == str(folder / "ckpt-8")
    names = checkpoint_folder.variable_names(str(folder / "ckpt-8"))
    assert any(name.startswith("value/") for name in names)


@pytest.mark.parametrize("has_record", [True, False])
@pytest.mark.parametrize("damage", [_truncate, _flip, _empty, os.remove])
@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
def test_a_damaged_one_is_passed_over(
    tmp_path, caplog, suffix, damage, has_record
):
    state = _State(tmp_path)
    for number in (2, 4):
        state.save(number)
    if not has_record:  # as earlier versions left them
        (tmp_path / "ckpt-2.json").unlink()
        (tmp_path / "ckpt-4.json").unlink()
    damage(tmp_path / f"ckpt-4.{suffix}")
    with caplog.at_level(logging.WARNING, "absl"):
        assert _restored(tmp_path) == 2
    (said,) = {record.getMessage() for record in caplog.records}
    assert "ckpt-4 is damaged" in said and "between 2 and 4 is lost" in said
    # It is put aside, and the next of that number takes its place.
    assert any(name.endswith(".damaged") for name in os.listdir(tmp_path))
    state.save(4)
    assert _restored(tmp_path) == 4


@pytest.mark.parametrize("damage", [_empty, os.remove])
def test_tensorflows_list_is_not_needed(folder, damage):
    # A kind of fault: without it the run started over, and overwrote.
    damage(folder / "checkpoint")
    assert _restored(folder) == 4


@pytest.mark.parametrize("damage", [_truncate, _flip, _empty, os.remove])
def test_a_damaged_record_does_no_harm(tmp_path, damage):
    _State(tmp_path).save(4)
    damage(tmp_path / "ckpt-4.json")
    # A flipped bit may leave JSON that tells of other files.
    try:
        assert _restored(tmp_path) == 4
    except checkpoint_folder.DamagedError as error:
        assert "ckpt-4" in str(error)


def test_a_record_of_less_than_all_does_not_vouch(tmp_path):
    state = _State(tmp_path)
    for number in (2, 4):
        state.save(number)
    record = tmp_path / "ckpt-4.json"
    stored = json.loads(record.read_text())
    _truncate(tmp_path / "ckpt-4.data-00000-of-00001")
    del stored["files"]["ckpt-4.data-00000-of-00001"]
    record.write_text(json.dumps(stored))
    assert _restored(tmp_path) == 2


def test_where_all_are_damaged_nothing_starts_over(tmp_path):
    state = _State(tmp_path)
    for number in (2, 4):
        _empty_after = state.save(number)
        _empty(tmp_path / f"ckpt-{number}.data-00000-of-00001")
    with pytest.raises(ValueError, match="No checkpoint in .*ckpt-4.*ckpt-2"):
        _restored(tmp_path)


def test_a_later_format_is_refused_by_name(tmp_path):
    _State(tmp_path).save(4)
    path = tmp_path / "ckpt-4.json"
    record = json.loads(path.read_text()) | {"format": 9, "version": "7.0"}
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match="format 9, of version 7.0"):
        _restored(tmp_path)


def test_another_model_is_named(tmp_path):
    _State(tmp_path).save(4)
    other = tf.train.Checkpoint(other=tf.Variable(1.0))
    with pytest.raises(ValueError, match="ckpt-4 is of another model"):
        checkpoint_folder.CheckpointFolder(tmp_path, other, 1).restore()


def test_tensorflow_and_earlier_versions_read_it(tmp_path):
    state = _State(tmp_path)
    state.save(2)
    state.save(4)
    path = tf.train.latest_checkpoint(str(tmp_path))
    assert path == str(tmp_path / "ckpt-4")
    value = tf.Variable(tf.zeros([1000]))
    tf.train.Checkpoint(value=value).restore(path).assert_consumed()
    assert value[0] == 4


def test_what_earlier_versions_saved_goes_on(tmp_path):
    state = _State(tmp_path)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(value=state.value), str(tmp_path), max_to_keep=2
    )
    state.value.assign(tf.fill([1000], 6.0))
    manager.save(checkpoint_number=6)
    assert _restored(tmp_path) == 6


def test_leftovers_are_removed(tmp_path):
    _State(tmp_path).save(4)
    (tmp_path / "ckpt-5_temp").mkdir()
    (tmp_path / "ckpt-5_temp" / "part").touch()
    (tmp_path / "ckpt-5.json.12-34.partial").touch()
    (tmp_path / "notes_temp").touch()
    assert _restored(tmp_path) == 4
    left = {name.partition(".")[0] for name in os.listdir(tmp_path)}
    assert left == {"ckpt-4", "checkpoint", "notes_temp"}


def test_a_full_disk_is_named_and_the_last_one_stays(tmp_path, monkeypatch):
    state = _State(tmp_path)
    state.save(2)

    def fill(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    monkeypatch.setattr(tf.train.Checkpoint, "write", fill)
    with pytest.raises(OSError, match="No space left.*Free some space"):
        state.save(4)
    assert _restored(tmp_path) == 2


_KILLED = """
import os, pathlib, signal, sys, threading, time
import tensorflow as tf
from mtssl_tf.training import checkpoint_folder
value = tf.Variable(tf.zeros([3_000_000]))
folder = checkpoint_folder.CheckpointFolder(
    pathlib.Path(sys.argv[1]), tf.train.Checkpoint(value=value), 2)
number = folder.restore() or 0
print("ready", number, flush=True)
while True:
    number += 1
    value.assign(tf.fill([3_000_000], float(number)))
    folder.save(number)
    print(number, flush=True)
"""


@pytest.mark.long
def test_kills_at_any_moment_lose_at_most_what_was_not_said(tmp_path):
    said = 0
    for trial in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        number = int(process.stdout.readline().split()[1])
        assert number >= said, trial
        for _ in range(trial % 3 + 1):
            said = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
