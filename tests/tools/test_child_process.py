"""Commands that tools run, and how they are stopped."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tools import child_process

# Takes longer over saving than `subprocess.run` would let it.
_CHILD = """
import pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1])
def save(number, _):
    time.sleep(1)
    (folder / "saved").touch()
    sys.exit(128 + number)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, save)
(folder / "ready").touch()
time.sleep(60)
"""
_PARENT = """
import subprocess, sys
from tools import child_process
try:
    child_process.run_to_its_end([sys.executable, "-c", *sys.argv[1:]])
except subprocess.CalledProcessError as error:
    sys.exit(error.returncode)
"""


def _start(folder):
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, _CHILD, folder],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (folder / "ready").exists():
        assert time.monotonic() < deadline and parent.poll() is None
        time.sleep(0.05)
    return parent


def _check_saved(parent, folder, number):
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == 128 + number
    assert errors == ""
    assert (folder / "saved").exists()


def test_a_command_saves_after_ctrl_c_in_the_terminal(tmp_path):
    parent = _start(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)
    _check_saved(parent, tmp_path, signal.SIGINT)


def test_a_command_saves_when_its_tool_is_terminated(tmp_path):
    parent = _start(tmp_path)
    parent.send_signal(signal.SIGTERM)
    _check_saved(parent, tmp_path, signal.SIGTERM)


def test_failure_is_raised_and_handlers_come_back():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    child_process.run_to_its_end([sys.executable, "-c", ""])
    with pytest.raises(subprocess.CalledProcessError, match="status 3"):
        child_process.run_to_its_end([sys.executable, "-c", "exit(3)"])
    after = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    assert after == before
