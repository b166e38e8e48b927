"""Holds the simulator of distributed training to a store on this machine.

    python -m tools.check_simulation [--floats=4194304] [--compute_s=0.1,0.3]

Groups of one worker each take steps with a real store; computing is a sleep,
since all share this machine's cores. The phases of a step alone give the
simulator its rates; then all groups run together, and their steps a second
stand beside those that it predicts. docs/distributed.md quotes the output.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time

import tensorflow as tf

from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import launch
from mtssl_tf.distribute import pusher as pusher_lib
from mtssl_tf.process import memory
from tools import measure_store
from tools import simulate_store

_WARM_UP_STEPS = 3


class Worker:
    """A fork that takes steps, and tells how long they took."""

    def __init__(
        self,
        layout: chunks.ChunkLayout,
        address: str,
        task: str,
        compute_s: float,
        duration_s: float,
    ) -> None:
        """Starts the process, which waits for `start` once it is warm."""
        answers, self._answers_end = os.pipe()
        orders_end, self._orders = os.pipe()
        self._answers = os.fdopen(answers)
        self._pid = os.fork()
        if self._pid == 0:
            self._run(layout, address, task, compute_s, duration_s, orders_end)
            os._exit(0)
        os.close(self._answers_end)
        self._answers.readline()

    def start(self) -> None:
        """Lets it take steps for its duration."""
        os.write(self._orders, b"x")

    def result(self) -> dict[str, float]:
        """Returns median seconds a phase, and `rate` in steps a second."""
        result = json.loads(self._answers.readline())
        os.waitpid(self._pid, 0)
        return result

    def _run(
        self, layout, address, task, compute_s, duration_s, orders_end
    ) -> None:
        client = measure_store.connect([address])
        reply, _ = client.call(0, {"op": "steps"})
        step = reply["steps"][task]
        pusher = pusher_lib.Pusher(client, layout, task, task, 0, 1, 1)
        gradient = tf.random.normal([layout.segments[chunks.TRUNK]])
        for _ in range(_WARM_UP_STEPS):
            measure_store.time_step(pusher, step, gradient)
            step += 1
        os.write(self._answers_end, b"\n")
        os.read(orders_end, 1)
        rounds: list[list[float]] = []
        start = time.monotonic()
        while time.monotonic() < start + duration_s:
            time.sleep(compute_s)
            rounds.append(measure_store.time_step(pusher, step, gradient))
            step += 1
        result = measure_store.median_phases(rounds)
        result["rate"] = len(rounds) / (time.monotonic() - start)
        os.write(self._answers_end, f"{json.dumps(result)}\n".encode())


def compare(
    num_floats: int, compute_s: list[float], duration_s: float
) -> list[str]:
    """Returns a line a group: measured and predicted rate."""
    tasks = [f"group {number}" for number in range(len(compute_s))]
    layout = chunks.ChunkLayout({chunks.TRUNK: num_floats}, 1)
    address = f"127.0.0.1:{launch.find_free_ports(1)[0]}"
    ready, told = os.pipe()
    server = os.fork()
    if server == 0:
        measure_store.serve(0, layout, address, told, tasks)
    os.read(ready, 1)
    try:
        alone = Worker(layout, address, tasks[0], 0.0, duration_s)
        alone.start()
        phases = alone.result()
        workers = [
            Worker(layout, address, task, each, duration_s)
            for task, each in zip(tasks, compute_s)
        ]
        for worker in workers:
            worker.start()
        measured = [worker.result()["rate"] for worker in workers]
    finally:
        os.kill(server, signal.SIGKILL)
    num_bytes = 4 * num_floats
    predicted = simulate_store.simulate(
        [
            simulate_store.Group(task, each, 1)
            for task, each in zip(tasks, compute_s)
        ],
        simulate_store.Store(
            num_floats,
            1,
            float("inf"),  # The rates have the loopback in them.
            num_bytes / phases["push"],
            num_bytes / phases["pull"],
            num_floats / phases["commit"],
        ),
        duration_s,
    )
    return [
        f"{task}, computing {each:.2f} s: {rate:.2f} steps/s measured, "
        f"{predicted[task]:.2f} predicted ({rate / predicted[task]:.2f})"
        for task, each, rate in zip(tasks, compute_s, measured)
    ]


def main() -> None:
    """Prints the comparison."""
    parser = argparse.ArgumentParser(prog="python -m tools.check_simulation")
    parser.add_argument("--floats", type=int, default=4_194_304)
    parser.add_argument("--compute_s", default="0.1,0.3")
    parser.add_argument("--duration_s", type=float, default=15.0)
    options = parser.parse_args()
    memory.keep_freed_memory()  # as every role does
    compute_s = [float(each) for each in options.compute_s.split(",")]
    for line in compare(options.floats, compute_s, options.duration_s):
        print(line)


if __name__ == "__main__":
    main()
