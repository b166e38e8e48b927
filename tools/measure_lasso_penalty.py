"""Which penalty of LassoMix recovers a planted mix: `docs/lasso.md`'s table.

    python -m tools.measure_lasso_penalty

A target reads 4 of 23 made-up units, plus noise of a tenth of its size. Units
are either independent, or running sums of each other as a residual trunk's
are. The mix is fitted with the project's RMSProp.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import sys

from absl import flags
import numpy as np

from mtssl_tf.process import command

_NUM_UNITS = 23  # block 3 of ResNet-101
_PLANTED = {2: 0.5, 9: -0.6, 17: 0.3, 22: 0.2}
_NOISE = 0.1
_NUM_EXAMPLES = 64
_BATCH_SIZE = 16
_SHAPE = (2, 2, 8)  # h, w, C of a unit

_FLAGS = flags.FlagValues()
_STEPS = flags.DEFINE_integer(
    "steps", 1500, "Steps of each fit.", 1, flag_values=_FLAGS
)
_LEARNING_RATE = flags.DEFINE_float(
    "learning_rate",
    2e-4,
    "Of RMSProp; the tiny preset's by default.",
    0.0,
    flag_values=_FLAGS,
)
_L1 = flags.DEFINE_multi_float(
    "l1",
    [0.0, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
    "Penalties to try.",
    0.0,
    flag_values=_FLAGS,
)


def plant(
    is_correlated: bool, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Makes units float32 [N, n, h, w, C], target and true mix [N]."""
    rng = np.random.default_rng(seed)
    shape = (_NUM_UNITS, _NUM_EXAMPLES, *_SHAPE)
    units: np.ndarray = rng.standard_normal(shape).astype(np.float32)
    if is_correlated:
        depth = np.arange(1, _NUM_UNITS + 1, dtype=np.float32)
        units = np.cumsum(units, 0) / np.sqrt(depth)[:, None, None, None, None]
    truth = np.zeros(_NUM_UNITS, np.float32)
    truth[list(_PLANTED)] = list(_PLANTED.values())
    truth /= np.linalg.norm(truth)
    noise = _NOISE * rng.standard_normal(shape[1:]).astype(np.float32)
    return units, np.tensordot(truth, units, 1) + noise, truth


def fit(
    units: np.ndarray,
    target: np.ndarray,
    l1: float,
    proximal: bool,
    learning_rate: float,
    num_steps: int,
) -> np.ndarray:
    """Fits a mix by mean square error; returns float32 [N]."""
    import tensorflow as tf

    from mtssl_tf.models import lasso_mix
    from mtssl_tf.training import proximal as proximal_lib
    from mtssl_tf.training import rmsprop

    mix = lasso_mix.LassoMix(l1=l1, proximal=proximal)
    mix.build([(None, *_SHAPE)] * _NUM_UNITS)
    optimizer = rmsprop.build_rmsprop(
        mix.trainable_variables, learning_rate, 0.9, 0.9, 1e-8
    )

    @tf.function(jit_compile=False)
    def take_step(units, target):
        with tf.GradientTape() as tape:
            error = mix(tf.unstack(units)) - target
            loss = tf.add_n([tf.reduce_mean(tf.square(error)), *mix.losses])
        optimizer.apply(tape.gradient(loss, [mix.raw_weights.value]))
        proximal_lib.take_proximal_step(mix, optimizer)

    for step in range(num_steps):
        start = step * _BATCH_SIZE % _NUM_EXAMPLES
        batch = slice(start, start + _BATCH_SIZE)
        take_step(tf.constant(units[:, batch]), tf.constant(target[batch]))
    return mix.mixing_weights()


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(
        "tools.measure_lasso_penalty", __doc__, _FLAGS, argv, _work
    )


def _work(values: flags.FlagValues) -> None:
    del values  # each flag is read by its holder
    print("| units | l1 | step | largest error | exact zeros of 19 |")
    print("|---|---:|---|---:|---:|")
    for is_correlated in (False, True):
        units, target, truth = plant(is_correlated)
        kind = "running sums" if is_correlated else "independent"
        for l1 in _L1.value:
            for proximal in (False, True):
                weights = fit(
                    units,
                    target,
                    l1,
                    proximal,
                    _LEARNING_RATE.value,
                    _STEPS.value,
                )
                error = np.abs(weights - truth).max()
                num_right = int(((weights == 0) & (truth == 0)).sum())
                step = "proximal" if proximal else "gradient"
                print(
                    f"| {kind} | {l1:g} | {step} | {error:.4f} | {num_right} |",
                    flush=True,
                )


if __name__ == "__main__":
    command.end(main(sys.argv))
