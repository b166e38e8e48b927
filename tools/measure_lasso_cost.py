"""What LassoMix costs: a training step with the mix over one without.

    python -m tools.measure_lasso_cost --depth=101 --batch_size=4

For time, both models stand in one process and take turns, so that whatever
else the machine does falls on both. For memory, each has a process of its own
(freed memory stays with a process): its peak in a step, above what it held
when everything was built and traced.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import json
import multiprocessing
import sys
import time

from absl import flags

from mtssl_tf.process import command
from tools import peak_memory

_FLAGS = flags.FlagValues()
_DEPTH = flags.DEFINE_enum(
    "depth", "101", ["50", "101", "152"], "Trunk.", flag_values=_FLAGS
)
_WIDTH = flags.DEFINE_float(
    "width", 1.0, "Factor on the trunk's channels.", flag_values=_FLAGS
)
_IMAGE_PX = flags.DEFINE_integer(
    "image_px", 96, "Side of a picture.", 32, flag_values=_FLAGS
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 4, "Pictures a step.", 1, flag_values=_FLAGS
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 10, "Steps timed of each.", 1, flag_values=_FLAGS
)

_VARIANTS = {"without": False, "with": True}


def measure(
    depth: int, width: float, image_px: int, batch_size: int, num_rounds: int
) -> dict[str, float]:
    """Times steps with and without the mix in turn.

    Returns:
        Seconds and peak bytes of a step without and with the mix, and the
        two ratios. Time is that of the fastest step, which other work on the
        machine disturbs least.
    """
    import tensorflow  # noqa: F401  before the forks: one import for all

    settings = (depth, width, image_px, batch_size)
    fork = multiprocessing.get_context("fork")
    peak = {}
    for name, use_mix in _VARIANTS.items():
        with fork.Pool(1) as pool:
            peak[name] = pool.apply(_peak_bytes, (*settings, use_mix))
    steps = {
        name: _build_step(*settings, use_mix)
        for name, use_mix in _VARIANTS.items()
    }
    for step in steps.values():
        step()
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(num_rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(time.perf_counter() - start)
    fastest = {name: min(values) for name, values in times.items()}
    return {
        "step_s_without": fastest["without"],
        "step_s_with": fastest["with"],
        "peak_bytes_without": peak["without"],
        "peak_bytes_with": peak["with"],
        "time_ratio": fastest["with"] / fastest["without"],
        "memory_ratio": peak["with"] / peak["without"],
    }


def _build_step(
    depth: int, width: float, image_px: int, batch_size: int, use_mix: bool
):
    """A forward and a backward pass, traced but not yet run."""
    import numpy as np
    import tensorflow as tf

    from mtssl_tf.models import config as model_config
    from mtssl_tf.models import lasso_mix
    from mtssl_tf.models import trunk as trunk_lib

    image = tf.constant(
        np.random.default_rng(0).standard_normal(
            (batch_size, image_px, image_px, 3)
        ),
        "float32",
    )
    config = model_config.TrunkConfig(depth=depth, width=width)
    trunk = trunk_lib.build_trunk(config)
    last = sorted(trunk.output)[-1]
    mix = lasso_mix.LassoMix() if use_mix else None
    if mix is not None:
        mix.build({name: unit.shape for name, unit in trunk.output.items()})

    @tf.function(jit_compile=False)
    def compute_gradients():
        with tf.GradientTape() as tape:
            units = trunk(image, training=True)
            features = mix(units) if mix is not None else units[last]
            loss = tf.reduce_mean(tf.square(features))
            if mix is not None:
                loss += tf.add_n(mix.losses)
        variables = list(trunk.trainable_variables)
        if mix is not None:
            variables += mix.trainable_variables
        # The gradients are summed up so that all of them are computed.
        return tf.add_n(
            [
                tf.reduce_sum(gradient)
                for gradient in tape.gradient(
                    loss,
                    [variable.value for variable in variables],
                    unconnected_gradients="zero",
                )
            ]
        )

    traced = compute_gradients.get_concrete_function()
    return lambda: float(traced())


def _peak_bytes(*settings) -> int:
    """Peak resident memory of a step above what is held before it."""
    return peak_memory.peak_bytes(_build_step(*settings))


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run("tools.measure_lasso_cost", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    del values  # each flag is read by its holder
    result = measure(
        int(_DEPTH.value),
        _WIDTH.value,
        _IMAGE_PX.value,
        _BATCH_SIZE.value,
        _ROUNDS.value,
    )
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    command.end(main(sys.argv))
