"""What the preset would cost here, from its operations and this machine's pace.

No step is taken: tracing and compiling all tasks' steps takes minutes on few
cores. A convolution as the trunk's is timed instead, and operations counted.
"""

from __future__ import annotations

import dataclasses
import math
import time

import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.training import dry_run
from mtssl_tf.training import run

# As in the trunk's third block: 3 x 3, 256 channels. ours: the rest.
_SHAPE = (16, 14, 14, 256)
_KERNEL_PX = 3
_NUM_TIMED = 10


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run costs.

    Attributes:
        steps: of the preset.
        hours: the trunk's convolutions alone, at `flops_per_second`.
        flops_per_second: what a convolution here was timed at.
        num_bytes: of the task that needs most, without buffers.
    """

    steps: int
    hours: float
    flops_per_second: float
    num_bytes: int


def estimate(config: config_lib.RunConfig) -> Cost:
    """Estimates a run's cost from its operations."""
    tasks = {
        name: tasks_lib.find_task(name)(options, config.contract)
        for name, options in config.tasks.items()
    }
    trunk, states = run.build_states(config, tasks)
    costs = {
        name: dry_run.task_cost(state, trunk, config.train.precision)
        for name, state in states.items()
    }
    weights = {name: task.weight for name, task in config.tasks.items()}
    flops = sum(weights[name] * costs[name].flops for name in costs)
    flops_a_step = flops / sum(weights.values())
    pace = _time_convolution()
    return Cost(
        config.train.steps,
        config.train.steps * flops_a_step / pace / 3600,
        pace,
        max(cost.num_bytes for cost in costs.values()),
    )


def _time_convolution() -> float:
    """Returns floating point operations per second of one convolution."""
    channels = _SHAPE[-1]
    inputs = tf.random.stateless_uniform(_SHAPE, (0, 0))
    kernel = tf.ones((_KERNEL_PX, _KERNEL_PX, channels, channels))
    flops = 2 * _KERNEL_PX**2 * channels * math.prod(_SHAPE)

    def convolve() -> None:
        tf.nn.conv2d(inputs, kernel, 1, "SAME")[0, 0, 0, 0].numpy()

    convolve()  # the first time it is set up
    seconds = []
    for _ in range(_NUM_TIMED):
        begin = time.perf_counter()
        convolve()
        seconds.append(time.perf_counter() - begin)
    # The fastest: others that use the machine only make it slower.
    return flops / min(seconds)
