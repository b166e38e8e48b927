"""Commands that are run once, and what one that fails holds up."""

import os
import signal
import sys
import threading

import pytest

from tools.reproduction import jobs as jobs_lib


def _job(name, code, *needs):
    return jobs_lib.Job(name, lambda: [sys.executable, "-c", code], needs)


def _run(folder, jobs, num_at_once=2):
    runner = jobs_lib.Runner(folder, num_at_once)
    done = []
    runner.run(jobs, lambda job: done.append(job.name))
    return runner, done


def test_what_is_needed_comes_first_and_a_failure_stops_no_other(tmp_path):
    jobs = [
        _job("runs/a", "print('made')"),
        _job("runs/b", "raise SystemExit('no room')"),
        _job("results/b", "print('never')", "runs/b"),
        _job("results/a", "print('read')", "runs/a"),
    ]
    runner, done = _run(tmp_path, jobs)
    assert done.index("runs/a") < done.index("results/a")
    assert runner.failures == {
        "runs/b": "exit code 1: no room",
        "results/b": "runs/b failed",
    }
    assert runner.log_of("results/a").read_text() == "read\n"
    # What is done is not done again; what failed is.
    again, done = _run(tmp_path, jobs)
    assert not done and set(again.failures) == {"runs/b", "results/b"}


def test_a_command_that_cannot_be_made_is_a_failure(tmp_path):
    def make():
        raise FileNotFoundError("no snapshot")

    runner, _ = _run(tmp_path, [jobs_lib.Job("a", make)])
    assert runner.failures == {"a": "no snapshot"}


def test_a_signal_reaches_the_commands_and_ends_all(tmp_path):
    code = (
        "import pathlib, signal, sys, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "def save(*_):\n"
        "    (here / 'saved').touch()\n"
        "    sys.exit(130)\n"
        "signal.signal(signal.SIGINT, save)\n"
        "(here / 'started').touch()\n"
        "time.sleep(60)\n"
    )
    jobs = [_job("a", code), _job("b", "print(1)", "a")]
    runner = jobs_lib.Runner(tmp_path, 1)

    def interrupt():
        while not (tmp_path / "started").exists():
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(jobs_lib.Stopped, match="SIGINT"):
        runner.run(jobs, lambda job: None)
    assert (tmp_path / "saved").exists()
    assert not runner.failures and not runner.is_done("a")
