"""Runs whole clusters on loopback: `python distribute_scenarios.py OUT NAME...`

Apart from the tests, since each role is a fork of a process that has imported
TensorFlow and not yet used it. Each scenario writes OUT/NAME.json, which
`test_distribute_clusters.py` judges.
"""

import dataclasses
import os
import pathlib
import shutil
import signal
import sys

import distribute_runs as runs

from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import gpu_hours
from mtssl_tf.distribute import launch
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.distribute import task_group

COLOR, POSITION = runs.COLOR, runs.POSITION


def workers(out, batch_norm):
    """One worker, and two with half the batch each."""
    config = runs.build_config(out, [POSITION], 5)
    results = []
    for count in (1, 2):
        workdir = out / f"workers_{batch_norm}_{count}"
        results.append(
            runs.run_cluster(config, workdir, count, batch_norm=batch_norm)
        )
    values = [
        runs.checkpoint_values(out / f"workers_{batch_norm}_{count}")
        for count in (1, 2)
    ]
    return {**runs.compare(*values), "runs": results}


def workers_frozen(out):
    return workers(out, "frozen")


def workers_synchronized(out):
    return workers(out, "synchronized")


def turns(out):
    """Two groups in a scripted order of commits, and one process."""
    config = runs.build_config(out, [COLOR, POSITION], 7)
    tasks = dict(config.tasks)
    tasks[COLOR] = dataclasses.replace(tasks[COLOR], weight=2.0)
    config = dataclasses.replace(config, tasks=tasks)
    group = runs.run_cluster(
        config, out / "turns", num_shards=2, mode="turns", deposit_every=1
    )
    single = runs.run_single(config, out / "turns_single")
    values = [
        {
            name: value
            for name, value in runs.checkpoint_values(out / folder).items()
            # Of the trunk's statistics each group has its own.
            if not (name.startswith("trunk/") and is_statistic(name))
        }
        for folder in ("turns", "turns_single")
    ]
    return {**runs.compare(*values), "runs": [group], "single": single}


def is_statistic(name):
    # Batch norm's variables in order: gamma, beta, mean, variance.
    return "/_variables/" not in name and "moving" in name


def elastic(out):
    """Two workers, then one machine, then one worker a task."""
    folder = out / "elastic"
    tasks = [COLOR, POSITION]
    first = runs.run_cluster(runs.build_config(out, tasks, 6), folder, 2)
    single = runs.run_single(runs.build_config(out, tasks, 10), folder)
    steps = [runs.read_steps(folder)]
    last = runs.run_cluster(
        runs.build_config(out, tasks, 14), folder, mode="synchronous"
    )
    steps.append(runs.read_steps(folder))
    return {"runs": [first, last], "single": single, "steps": steps}


def asynchronous(out):
    """Each worker by itself; heads in the store."""
    config = runs.build_config(out, [COLOR], 6)
    workdir = out / "asynchronous"
    result = runs.run_cluster(config, workdir, 2, mode="asynchronous")
    return {"runs": [result], "steps": runs.read_steps(workdir)}


def calibration(out):
    """Seconds per step, then snapshots named by cost."""
    workdir = out / "calibration"
    config = runs.build_config(out, [COLOR, POSITION], 8)
    first = runs.run_cluster(config, workdir, is_calibration=True)
    seconds = gpu_hours.load_seconds(workdir, config.tasks)
    # Two snapshots or more, whichever group makes how many of the 8 steps.
    every = min(seconds.values()) / 3600 * 3
    second = runs.run_cluster(config, workdir, snapshot_every=every)
    return {
        "runs": [first, second],
        "seconds": seconds,
        "every": every,
        "snapshots": sorted(
            path.name for path in (workdir / "snapshots").iterdir()
        ),
        "files": sorted(
            path.name
            for path in next((workdir / "snapshots").iterdir()).iterdir()
        ),
    }


def faults(out):
    """Kills and freezes everything in turn; the run ends all the same."""
    save_every = 200
    config = runs.build_config(
        out, [COLOR, POSITION], 10**6, save_every=save_every
    )
    marks = []

    def mark(what, boss):
        marks.append([what, boss.status().get("steps")])

    def script(boss):
        other = COLOR

        def progress_of(task):
            return boss.status().get("steps", {}).get(task, 0)

        yield from boss.wait_for_steps(POSITION, 2)
        yield from boss.wait_for_steps(other, 2)
        mark("kill a worker", boss)
        os.kill(boss.pids[f"{POSITION}/1"], signal.SIGKILL)
        yield from boss.wait_for_steps(other, progress_of(other) + 2)
        mark("the other goes on", boss)
        yield from boss.wait_for_steps(POSITION, progress_of(POSITION) + 2)
        mark("back; freeze a worker", boss)
        os.kill(boss.pids[f"{POSITION}/0"], signal.SIGSTOP)
        yield from boss.wait_for_steps(other, progress_of(other) + 2)
        mark("the other goes on", boss)
        yield from boss.wait_for_steps(POSITION, progress_of(POSITION) + 2)
        mark("back; kill the group", boss)
        for index in (0, 1):
            os.kill(boss.pids[f"{POSITION}/{index}"], signal.SIGKILL)
        yield from boss.wait_for_steps(POSITION, progress_of(POSITION) + 2)
        # Amid two checkpoints, so that there is something to lose.
        yield from boss.wait_for(
            lambda status: 20 <= status["step"] % save_every <= 100
        )
        mark("back; kill the store", boss)
        os.kill(boss.pids["store/0"], signal.SIGKILL)
        killed = boss.status()
        yield from boss.wait_for(
            lambda _: any("The store was lost" in line for line in boss.said)
        )
        yield from boss.wait_for(lambda status: status != killed)
        mark("the store is back", boss)
        for task in (POSITION, other):
            yield from boss.wait_for_steps(task, progress_of(task) + 2)
        mark("SIGTERM", boss)
        os.kill(os.getpid(), signal.SIGTERM)

    workdir = out / "faults"
    result = runs.run_cluster(
        config, workdir, 2, script=script, peer_timeout_s=30
    )
    return {"runs": [result], "marks": marks, "steps": runs.read_steps(workdir)}


def strict(out):
    """A store with two shards loses both in turn, and no commit."""
    config = runs.build_config(out, [COLOR], 400)
    marks = []

    def script(boss):
        for shard in (0, 1):
            count = boss.status().get("steps", {}).get(COLOR, 0)
            yield from boss.wait_for_steps(COLOR, count + 3)
            marks.append(boss.status()["steps"][COLOR])
            os.kill(boss.pids[f"store/{shard}"], signal.SIGKILL)
            yield

    workdir = out / "strict"
    result = runs.run_cluster(
        config, workdir, num_shards=2, script=script, is_strict=True
    )
    return {"runs": [result], "marks": marks, "steps": runs.read_steps(workdir)}


def disk_full(out):
    """The store cannot write its checkpoint."""
    config = runs.build_config(out, [COLOR], 6)
    workdir = out / "disk_full"

    def script(boss):
        yield from boss.wait_for(lambda status: "steps" in status)
        folder = workdir / "checkpoints"
        shutil.rmtree(folder, ignore_errors=True)
        # As root no permission stops a write; a file in the way does.
        folder.write_text("in the way")
        boss.start_late()

    late = [f"{COLOR}/0"]
    return {
        "runs": [runs.run_cluster(config, workdir, script=script, late=late)]
    }


def never_starts(out):
    """One worker of two is missing."""
    config = runs.build_config(out, [COLOR], 6)

    def script(boss):
        yield from boss.wait_for(lambda status: "steps" in status)
        boss.start_late()

    result = runs.run_cluster(
        config, out / "never_starts", 2, script=script, late=[f"{COLOR}/0"],
        absent=[f"{COLOR}/1"], start_timeout_s=10,
    )  # fmt: skip
    return {"runs": [result]}


def deserted(out):
    """Either worker of two goes on to connect, and the other never does."""
    workdir = out / "deserted"
    cluster = launch.build_local_cluster(
        [COLOR], 2, 1, workdir, peer_timeout_s=1.0
    )
    codes = []
    for role in cluster.roles():
        if role.name == COLOR:
            settings = settings_lib.Settings(
                role, cluster, cluster_lib.load_secret(cluster),
                runs.build_config(out, [COLOR], 1), workdir,
            )  # fmt: skip
            pid = os.fork()
            if pid == 0:
                task_group.connect(settings)
                os._exit(0)
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return {"codes": codes}


if __name__ == "__main__":
    runs.main(globals(), pathlib.Path(sys.argv[1]), sys.argv[2:])
