"""Commands that are run once, and what one that fails holds up."""

import dataclasses
import functools
import os
import signal
import sys
import threading

import pytest

from mtssl_tf.process import cores
from mtssl_tf.process import local_map
from tools.reproduction import jobs as jobs_lib


def _job(name, code, *needs):
    return jobs_lib.Job(name, lambda: [sys.executable, "-c", code], needs)


def _command(code):
    return [sys.executable, "-c", code]


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


def test_a_mark_without_its_result_is_not_done(tmp_path):
    # A kind of fault: the record is trusted, and what it is of is gone.
    made = tmp_path / "results/a/result.json"
    code = (
        f"import pathlib; path = pathlib.Path({str(made)!r});"
        "path.parent.mkdir(parents=True, exist_ok=True); path.write_text('{}')"
    )
    job = dataclasses.replace(_job("a", code), result="results/a/result.json")
    assert _run(tmp_path, [job])[1] == ["a"]
    assert _run(tmp_path, [job])[1] == []
    made.unlink()
    assert _run(tmp_path, [job])[1] == ["a"] and made.exists()
    made.write_text('{"metrics": {')
    assert _run(tmp_path, [job])[1] == ["a"] and made.read_text() == "{}"


@pytest.mark.parametrize("num_at_once", [1, 2])
def test_those_beside_each_other_share_the_cores(
    tmp_path, monkeypatch, num_at_once
):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(cores, "count", lambda: 6)
    code = (
        "import os; print(os.environ.get('TF_NUM_INTRAOP_THREADS'),"
        "os.environ['OMP_NUM_THREADS'])"
    )
    runner, _ = _run(tmp_path, [_job("a", code)], num_at_once)
    told = runner.log_of("a").read_text()
    # Alone it has what TensorFlow takes; what the user set stays.
    assert told == ("None 7\n" if num_at_once == 1 else "3 7\n")


def test_those_beside_each_other_have_a_gpu_each(tmp_path):
    # A command takes all memory of what it sees. The kind is what starts
    # several of them on one machine.
    code = (
        "import os, pathlib, time\n"
        f"here = pathlib.Path({str(tmp_path)!r})\n"
        "own = os.environ['CUDA_VISIBLE_DEVICES']\n"
        "with open(here / f'gpu {own}', 'x'):\n"
        "    time.sleep(0.3)\n"
        "os.remove(here / f'gpu {own}')\n"
        "print(own)\n"
    )
    runner = jobs_lib.Runner(tmp_path, 2, ["3", "GPU-89"])
    runner.run([_job(name, code) for name in "abcd"], lambda job: None)
    assert not runner.failures
    told = {runner.log_of(name).read_text() for name in "abcd"}
    assert told == {"3\n", "GPU-89\n"}


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


def _on_machines(folder, chains):
    """Runs chains of (name, code), the first of them before all else."""
    jobs = [
        jobs_lib.Job(
            name,
            functools.partial(_command, code),
            () if number == 0 else (chain[number - 1][0],),
            "" if place == 0 else chain[0][0],
        )
        for place, chain in enumerate(chains)
        for number, (name, code) in enumerate(chain)
    ]
    runner = jobs_lib.ClusterRunner(folder, local_map.local_map)
    ended = []
    runner.run(jobs, lambda job: ended.append(job.name))
    return runner.failures, ended


def test_a_chain_runs_where_there_is_room_and_goes_on_where_it_was(tmp_path):
    chains = [
        [("calibration", "print('first')")],
        [("runs/a", "print('made')"), ("results/a", "print('read')")],
        [("runs/b", "raise SystemExit('no room')"), ("results/b", "")],
    ]
    failures, ended = _on_machines(tmp_path, chains)
    assert ended[0] == "calibration"
    assert set(ended[1:]) == {"results/a", "results/b"}
    assert failures == {
        "runs/b": "exit code 1: no room",
        "results/b": "runs/b failed",
    }
    chains[2][0] = ("runs/b", "print('now')")
    assert _on_machines(tmp_path, chains)[0] == {}
    log = tmp_path / "logs" / "runs" / "a.log"
    assert log.read_text() == "made\n"  # once


def test_nothing_is_begun_without_what_comes_before_all_else(tmp_path):
    chains = [
        [("calibration", "raise SystemExit('busy')")],
        [("runs/a", "print('made')")],
    ]
    failures, _ = _on_machines(tmp_path, chains)
    assert failures == {
        "calibration": "exit code 1: busy",
        "runs/a": "calibration failed",
    }
    assert not (tmp_path / "logs" / "runs").exists()


def test_a_machine_that_is_lost_is_a_failure_of_its_chain(tmp_path):
    lost = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)"
    failures, _ = _on_machines(tmp_path, [[], [("runs/a", lost)]])
    assert set(failures) == {"runs/a"} and "crash" in failures["runs/a"]
