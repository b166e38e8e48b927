"""Whole clusters on loopback, for scenarios and measurements.

To be imported before TensorFlow is used: each role is a fork of this process.
"""

import dataclasses
import faulthandler
import json
import os
import signal
import time
import traceback

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from mtssl_tf import config as config_lib  # noqa: E402
from mtssl_tf import run as run_lib  # noqa: E402
from mtssl_tf import run_directory  # noqa: E402
from mtssl_tf import stop_signal  # noqa: E402
from mtssl_tf import training  # noqa: E402
from mtssl_tf import trunk  # noqa: E402
from mtssl_tf.distribute import cluster as cluster_lib  # noqa: E402
from mtssl_tf.distribute import launch  # noqa: E402
from mtssl_tf.distribute import settings as settings_lib  # noqa: E402
from mtssl_tf.distribute import supervisor  # noqa: E402

faulthandler.register(signal.SIGUSR1)  # Where does a role hang?

BATCH_SIZE = 8
COLOR, POSITION = "colorization", "relative_position"


def write_pictures(folder):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(24):
        small = rng.integers(0, 255, (6, 6, 3)).astype(np.uint8)
        picture = cv2.resize(small, (200, 200), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{i:02d}.jpg"), picture)


def build_config(out, tasks, steps, **train_settings):
    config = config_lib.preset_config("tiny", tasks)
    data = dataclasses.replace(
        config.data, images=str(out / "pictures"), num_fit=8
    )
    return dataclasses.replace(
        config,
        tasks={
            name: dataclasses.replace(task, batch_size=BATCH_SIZE)
            for name, task in config.tasks.items()
        },
        trunk=trunk.TrunkConfig(
            depth=50, num_units=(1, 1, 2), width=0.125, bn_decay=0.9
        ),
        data=data,
        train=dataclasses.replace(
            config.train, steps=steps, log_every=2, **train_settings
        ),
    )


class ScriptedSupervisor(supervisor.Supervisor):
    """Follows a script, a generator that is advanced at every tick.

    Roles of `late` are left to the script to start.
    """

    def __init__(self, settings, script=None, late=()):
        super().__init__(settings, max_restarts=10)
        self.script = script(self) if script else iter(())
        self.late = {role for role in self._settings if str(role) in late}
        self.said = []

    def start(self):
        for role in self._settings.keys() - self.late:
            self._start(role)

    def _is_over(self):
        return not self.late and super()._is_over()

    def start_late(self):
        while self.late:
            self._start(self.late.pop())

    def tick(self, is_ending=False):
        next(self.script, None)
        super().tick(is_ending)

    def _say(self, who, text):
        self.said.append(f"[{who}] {text}")
        super()._say(who, text)

    def status(self):
        return self._status()

    def wait_for(self, is_true, timeout_s=600):
        deadline = time.monotonic() + timeout_s
        while not is_true(self._status()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Waited in vain: {self._status()}")
            yield

    def wait_for_steps(self, task, count):
        def is_there(status):
            return status.get("steps", {}).get(task, 0) >= count

        yield from self.wait_for(is_there)


def run_cluster(
    config, workdir, num_workers=1, num_shards=1, script=None, late=(),
    absent=(), is_strict=False, is_calibration=False, snapshot_every=0.0,
    **cluster,
):  # fmt: skip
    """Returns exit code, lines said, seconds."""
    start = time.monotonic()
    run_directory.prepare(workdir, config)
    built = launch.build_local_cluster(
        list(config.tasks), num_workers, num_shards, workdir / "store",
        **{"start_timeout_s": 120, "peer_timeout_s": 60, **cluster},
    )  # fmt: skip
    settings = settings_lib.check(
        settings_lib.Settings(
            built.roles()[0], built, cluster_lib.load_secret(built), config,
            workdir, is_strict, is_calibration, snapshot_every,
        )
    )  # fmt: skip
    boss = ScriptedSupervisor(
        [
            dataclasses.replace(settings, role=role)
            for role in settings.cluster.roles()
            if str(role) not in absent
        ],
        script,
        late,
    )
    try:
        code = boss.run()
    finally:
        boss.kill_all()  # Where the script has failed.
    return {
        "code": code,
        "said": boss.said,
        "seconds": time.monotonic() - start,
        "status": boss.status(),
    }


def run_single(config, workdir):
    """Trains on one machine, in a fork."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            run_directory.prepare(workdir, config)
            run = run_lib.build_run(config, workdir)
            training.Trainer(run, workdir).train(stop_signal.StopSignal())
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def checkpoint_values(workdir):
    """Returns every variable of the last checkpoint, by name."""
    path = tf.train.latest_checkpoint(str(workdir / "checkpoints"))
    if path is None:
        return {}
    reader = tf.train.load_checkpoint(path)
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.endswith("VARIABLE_VALUE") and "save_counter" not in name
    }


def compare(one, other):
    """Returns the largest difference over variables, and its place.

    Mean squares reach 1e5, so where a variable is above one the difference
    counts as a share of its largest value.
    """
    if one.keys() != other.keys() or not one:
        return {"error": sorted(one.keys() ^ other.keys())[:9]}
    difference, name = max(
        (
            float(np.abs(one[k] - other[k]).max(initial=0))
            / max(1.0, float(np.abs(one[k]).max(initial=0))),
            k,
        )
        for k in one
        if one[k].dtype.kind in "fi"
    )
    return {"difference": difference, "name": name, "count": len(one)}


def read_steps(workdir):
    return {
        name.split("/")[1]: int(value)
        for name, value in checkpoint_values(workdir).items()
        if name.startswith("steps/")
    }


def main(scenarios, out, names):
    """Writes OUT/NAME.json, the result of each of these scenarios."""
    if not (out / "pictures").exists():
        write_pictures(out / "pictures")
    for name in names:
        try:
            result = scenarios[name](out)
        except Exception:
            result = {"error": traceback.format_exc()}
        (out / f"{name}.json").write_text(json.dumps(result, indent=1))
        print("==", name, json.dumps(result)[:600], flush=True)
