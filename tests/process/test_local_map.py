"""Items in processes: what they give, and what is left of a killed command."""

import os
import pathlib
import signal
import subprocess
import sys
import time

from mtssl_tf.process import local_map

_ROOT = pathlib.Path(__file__).resolve().parents[2]

_SCRIPT = """
import os, pathlib, sys, time
from mtssl_tf.process import local_map

def work(path):
    path.write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    for _ in local_map.local_map(work, [pathlib.Path(sys.argv[1])]):
        pass
"""


def test_results_come_with_their_item_and_exceptions_too():
    outcomes = dict(local_map.local_map(int, ["1", "x"], workers=1))
    assert outcomes[0] == 1 and isinstance(outcomes[1], ValueError)
    assert list(local_map.local_map(int, [])) == []


def test_no_process_outlives_its_command(tmp_path):
    # A kind of fault: who is killed alone leaves children that write beside
    # those of the same command started again.
    script, started = tmp_path / "script.py", tmp_path / "started"
    script.write_text(_SCRIPT)
    with subprocess.Popen(
        [sys.executable, str(script), str(started)],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    ) as command:
        deadline = time.monotonic() + 30
        while not (started.exists() and started.read_text()):
            assert time.monotonic() < deadline and command.poll() is None
            time.sleep(0.05)
        worker = int(started.read_text())
        command.send_signal(signal.SIGKILL)
    while _is_running(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1]
    except OSError:
        return False
    return state.split()[0] != "Z"
