"""Times clusters on loopback: `python distribute_measurements.py OUT NAME...`

Each measurement writes OUT/NAME.json, which docs/distributed.md quotes. They
take minutes and want cores of their own, so no test runs them.
"""

import json
import os
import pathlib
import signal
import sys
import time

import distribute_runs as runs

from mtssl_tf.distribute import run_status

COLOR, POSITION = runs.COLOR, runs.POSITION


def slow_neighbour(out):
    """The rate of a group beside one that runs a fifth of the time."""
    shares = {}
    for mode in ("hybrid", "synchronous"):
        workdir = out / f"slow_{mode}"
        config = runs.build_config(
            out, [COLOR, POSITION], 10**6, save_every=10**6
        )
        shares[mode] = {}

        def script(boss, mode=mode, workdir=workdir):
            for task in (COLOR, POSITION):
                yield from boss.wait_for_steps(task, 5)
            slow = boss.pids[f"{POSITION}/0"]
            os.sched_setaffinity(boss.pids[f"{COLOR}/0"], {0})
            for name in ("store/0", f"{POSITION}/0"):
                os.sched_setaffinity(boss.pids[name], {1})
            path = run_status.status_path(workdir)
            if mode == "hybrid":
                shares[mode]["alone"] = rate_beside(path, slow, 0.0)
            else:
                shares[mode]["unhindered"] = rate_beside(path, slow, 1.0)
            shares[mode]["beside"] = rate_beside(path, slow, 0.2)
            os.kill(os.getpid(), signal.SIGTERM)

        runs.run_cluster(config, workdir, script=script)
    return {"rates": shares}


def rate_beside(path, slow, share, seconds=12.0):
    """Returns steps per second of COLOR while `slow` runs for a share."""
    start = read_mark(path)
    while time.time() < start[0] + seconds:
        if share < 1:
            os.kill(slow, signal.SIGSTOP)
            time.sleep(0.1 * (1 - share))
        if share > 0:
            os.kill(slow, signal.SIGCONT)
            time.sleep(0.1 * share)
    end = read_mark(path)
    os.kill(slow, signal.SIGCONT)
    return (end[1] - start[1]) / (end[0] - start[0])


def read_mark(path):
    """Returns when the status was written, and the steps then."""
    before = path.stat().st_mtime
    while path.stat().st_mtime == before:
        time.sleep(0.01)
    return path.stat().st_mtime, json.loads(path.read_text())["steps"][COLOR]


if __name__ == "__main__":
    runs.main(globals(), pathlib.Path(sys.argv[1]), sys.argv[2:])
