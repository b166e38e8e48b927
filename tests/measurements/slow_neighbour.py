"""Times clusters on loopback.

    PYTHONPATH=.:tests/fixtures \\
        python tests/measurements/slow_neighbour.py OUT NAME...

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


ROUNDS = 4


def slow_neighbour(out):
    """The rate of a group beside one that runs a fifth of the time."""
    rates = {}
    for mode in ("hybrid", "synchronous"):
        workdir = out / f"slow_{mode}"
        config = runs.build_config(
            out, [COLOR, POSITION], 10**6, save_every=10**6
        )
        # Hybrid groups need no neighbour; synchronous ones wait for it.
        shares = {"hybrid": (0.0, 0.2), "synchronous": (1.0, 0.2)}[mode]
        rates[mode] = {f"neighbour runs {share:.0%}": [] for share in shares}

        def script(boss, mode=mode, workdir=workdir, shares=shares):
            for task in (COLOR, POSITION):
                yield from boss.wait_for_steps(task, 5)
            slow = boss.pids[f"{POSITION}/0"]
            pin(boss.pids[f"{COLOR}/0"], 0)
            pin(boss.pids["store/0"], 1)
            # What it does is to cost it time, not the store it shares a core
            # with: on machines of their own it would not.
            pin(slow, 1, nice=19)
            path = run_status.status_path(workdir)
            for _ in range(ROUNDS):
                for share in shares:
                    rates[mode][f"neighbour runs {share:.0%}"].append(
                        rate_beside(path, slow, share)
                    )
            os.kill(os.getpid(), signal.SIGTERM)

        runs.run_cluster(
            config,
            workdir,
            script=script,
            mode=mode,
        )
    return {"steps_per_s": rates}


def pin(pid, core, nice=0):
    """Keeps all threads of a process on a core."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(thread), {core})
        os.setpriority(os.PRIO_PROCESS, int(thread), nice)


def rate_beside(path, slow, share, seconds=10.0):
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
