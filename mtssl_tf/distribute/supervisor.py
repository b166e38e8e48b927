"""Forks roles, shows what they say, and starts again what dies."""

from __future__ import annotations

from collections.abc import Sequence
import math
import os
import pathlib
import select
import signal
import sys
import time

from mtssl_tf.distribute import cluster
from mtssl_tf.distribute import roles
from mtssl_tf.distribute import run_status
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.process import parent
from mtssl_tf.process import stop_signal
from mtssl_tf.reports import progress

_TICK_S = 0.1
_SHOW_EVERY_S = 1.0
# After the signal to stop: time to save, once a checkpoint waits for no group
# any more; and for the rest to end when the store has.
_SAVE_S = 60.0
_LAST_S = 10.0
_GPUS = pathlib.Path("/proc/driver/nvidia/gpus")

# A role that was told to stop, which stops the run.
_STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
_LEADER = cluster.Role(cluster.STORE, 0)


class Process:
    """A forked role."""

    def __init__(self, settings: settings_lib.Settings, gpu: int | None):
        read_end, write_end = os.pipe()
        self.role = settings.role
        sys.stdout.flush()  # Or the fork would say it again.
        launcher = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read_end)
            _become(settings, write_end, gpu, launcher)
        os.close(write_end)
        self.output = read_end
        self._rest = b""

    def poll(self) -> int | None:
        """Returns the exit code, -N after signal N, or None if it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None

    def send(self, number: int) -> None:
        """Sends a signal; a process that has just ended is none to signal."""
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return

    def kill(self) -> None:
        """Ends it now, also if it is frozen, and waits until it is gone."""
        self.send(signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.output)

    def read_lines(self) -> list[str]:
        """Returns the whole lines that have come since the last time."""
        while select.select([self.output], [], [], 0)[0]:
            data = os.read(self.output, 65536)
            if not data:
                break
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode(errors="replace") for line in lines]


class Supervisor:
    """All roles of a cluster on this machine."""

    def __init__(
        self, settings: Sequence[settings_lib.Settings], max_restarts: int
    ) -> None:
        """Takes the settings of every role; `run` starts them."""
        self._settings = {each.role: each for each in settings}
        self._workdir = settings[0].workdir
        self._grace_s = settings[0].cluster.store_timeout_s + _SAVE_S
        self._max_restarts = max_restarts
        self._num_restarts: dict[str, int] = {}
        self._running: dict[cluster.Role, Process] = {}
        self._progress = progress.ProgressLine(
            settings[0].num_steps(), "steps", self._status().get("step", 0)
        )
        self._failure = 0
        self._gpus = sorted(_GPUS.iterdir()) if _GPUS.is_dir() else []

    @property
    def pids(self) -> dict[str, int]:
        """Returns the process of every role that runs."""
        return {str(role): each.pid for role, each in self._running.items()}

    def run(self) -> int:
        """Runs until all are done; returns the exit code."""
        self.start()
        stop = stop_signal.StopSignal()
        deadline = math.inf
        next_show = 0.0
        while self._running:
            self.tick(is_ending=deadline < math.inf)
            now = time.monotonic()
            must_end = stop.is_requested or self._failure or self._is_over()
            if must_end and deadline == math.inf:
                deadline = now + self._grace_s
                self.send_all(signal.SIGTERM)
            if _LEADER not in self._running:
                deadline = min(deadline, now + _LAST_S)
            if now > deadline and self._running:
                names = ", ".join(map(str, self._running))
                self._say("launch", f"{names} did not stop; killed.")
                self.kill_all()
            if now > next_show:
                next_show = now + _SHOW_EVERY_S
                self._show()
            time.sleep(_TICK_S)
        self._progress.finish(self._last_words())
        if stop.number is not None and not self._failure:
            return 128 + stop.number
        return self._failure

    def start(self) -> None:
        """Starts every role."""
        for role in self._settings:
            self._start(role)

    def tick(self, is_ending: bool = False) -> None:
        """Shows what was said, and starts again what has died."""
        for role, process in list(self._running.items()):
            if self._running.get(role) is not process:
                continue  # Restarted with its group a moment ago.
            for line in process.read_lines():
                self._say(str(role), line)
            code = process.poll()
            if code is None:
                continue
            for line in process.read_lines():
                self._say(str(role), line)
            os.close(process.output)
            del self._running[role]
            if code == roles.EXIT_USER_ERROR:
                self._failure = code
            elif code in _STOPPED or is_ending or self._failure:
                continue
            elif code != 0:
                self._restart(role, code)

    def send_all(self, number: int) -> None:
        """Sends a signal to every role."""
        for process in self._running.values():
            process.send(number)

    def kill_all(self) -> None:
        """Ends every role now."""
        for role in list(self._running):
            self._running.pop(role).kill()

    def _is_over(self) -> bool:
        """Whether those that still run have nobody left to work with.

        The store leaves when all is saved and the workers know. One that
        starts again just then would look for it in vain.
        """
        has_workers = any(not role.is_store for role in self._running)
        return _LEADER not in self._running or not has_workers

    def _start(self, role: cluster.Role) -> None:
        gpu = None
        if self._gpus and not role.is_store:
            workers = [each for each in self._settings if not each.is_store]
            gpu = workers.index(role) % len(self._gpus)
        self._running[role] = Process(self._settings[role], gpu)

    def _restart(self, role: cluster.Role, code: int) -> None:
        """Starts a shard again, or a worker with its whole group."""
        key = str(role) if role.is_store else role.name
        count = self._num_restarts[key] = self._num_restarts.get(key, 0) + 1
        why = f"signal {-code}" if code < 0 else f"exit code {code}"
        if count > self._max_restarts:
            self._say("launch", f"{role} died again ({why}); giving up.")
            self._failure = roles.EXIT_USER_ERROR
            return
        self._say("launch", f"{role} died ({why}); starting {key} again.")
        for other in list(self._settings):
            if other == role or (not role.is_store and other.name == role.name):
                if other in self._running:
                    self._running.pop(other).kill()
                self._start(other)

    def _say(self, who: str, text: str) -> None:
        erase = "\r\033[K" if sys.stderr.isatty() else ""  # The progress line.
        print(f"{erase}[{who}] {text}", file=sys.stderr, flush=True)

    def _show(self) -> None:
        status = self._status()
        if not status:
            self._progress.update(0, "starting")
            return
        tasks = "  ".join(
            f"{name} {count}" + _describe(status["tasks"].get(name))
            for name, count in status["steps"].items()
        )
        self._progress.update(status["step"], tasks)

    def _last_words(self) -> str:
        status = self._status()
        step = status.get("step", 0)
        if self._failure:
            return f"step {step}: stopped. {status.get('message', '')}"
        if step >= status.get("num_steps", 1):
            return f"step {step}: saved, done."
        return (
            f"step {step}: saved, stopped; the same command goes on from here."
        )

    def _status(self) -> dict:
        return run_status.load_status(run_status.status_path(self._workdir))


def _describe(task: dict | None) -> str:
    if not task:
        return ""
    return f" ({task['loss']:.3f}, {task['images_per_s']:.0f} images/s)"


def _become(
    settings: settings_lib.Settings,
    output: int,
    gpu: int | None,
    launcher: int,
) -> None:
    """Turns this fork into a role; does not return."""
    code = roles.EXIT_RESTART
    try:
        # Ctrl-C reaches the launcher alone, which tells the roles; should it
        # be killed, so are they.
        os.setsid()
        parent.die_with_parent(launcher)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ["CUDA_VISIBLE_DEVICES"] = "" if gpu is None else str(gpu)
        code = roles.run_role(settings)
    finally:
        if sys.exc_info()[0] is not None:
            sys.excepthook(*sys.exc_info())
        roles.exit_now(code)
