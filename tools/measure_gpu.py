"""What a GPU makes of trunk, heads, losses and colour, through Keras on JAX.

    python -m tools.measure_gpu --save=batches.npz
    python -m tools.measure_gpu --load=batches.npz --json=FILE \
        [--batch_size=256]

The first line cuts a batch of each task of the preset from the sample set. The
second needs neither TensorFlow nor pictures, so that it runs where only JAX
is: it takes whole training steps on these batches, colour work and RMSProp
included, and holds them against a ResNet-101-v2 of Keras applications with
1000 classes, all four blocks, trained by the same RMSProp in the same run.

A share of the peak is floating-point operations a second, convolutions of the
trunk alone and three passes a step, over what a product of two large matrices
reaches in the same type and the same run.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Callable, Sequence
import json
import os
import pathlib
import sys
import tempfile
import time
from typing import Any, cast

from absl import flags
import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf import tasks as tasks_lib
from mtssl_tf import train_settings
from mtssl_tf.lazy_imports import keras
from mtssl_tf.process import command

_FLAGS = flags.FlagValues()
_SAVE = command.define_path(
    "save", "", "File for a batch of each task.", _FLAGS
)
_LOAD = command.define_path("load", "", "File that --save wrote.", _FLAGS)
_JSON = command.define_path("json", "", "File for what was measured.", _FLAGS)
_PRESET = flags.DEFINE_enum(
    "preset", "paper", list(config_lib.PRESETS), "Scale.", flag_values=_FLAGS
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "bfloat16",
    train_settings.PRECISIONS,
    "Of activations.",
    flag_values=_FLAGS,
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "The preset's if absent.", 1, flag_values=_FLAGS
)

_NUM_SAVED = 8  # examples of a task; a larger batch repeats them
_PASSES = 3  # forward, and backward to features and to weights
_TURN_S = 1.0
_NUM_TURNS = 5
_REFERENCE_PX = 224
_REFERENCE_CLASSES = 1000

Figures = dict[str, dict[str, float]]
Arrays = dict[str, np.ndarray]


def save_batches(path: pathlib.Path, preset: str) -> None:
    """Writes a batch of each pretext task as its `cut` makes them.

    Args:
        path: a .npz file: TASK/batch/NAME, and TASK/facts/NAME.
        preset: of the tasks.
    """
    from mtssl_tf.training import run as run_lib
    from mtssl_tf.training import run_directory
    from tools import measure_step

    arrays: Arrays = {}
    for name in recipes.default_tasks():
        # The thread that labels ahead may be at its last part.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            root = pathlib.Path(folder)
            config = measure_step.sample_config(root, name, preset, _NUM_SAVED)
            run = run_lib.build_run(config, root)
            batch = measure_step.first_batch(run)
            run.close()
            facts = run_directory.load_facts(root, name) or {}
        for key, value in batch.items():
            arrays[f"{name}/batch/{key}"] = np.asarray(value)
        for key, value in facts.items():
            arrays[f"{name}/facts/{key}"] = value
    np.savez_compressed(path, **cast(dict[str, Any], arrays))


def measure(
    arrays: Arrays,
    preset: str,
    precision: str,
    batch_size: int | None = None,
    keep: Callable[[Figures], None] = lambda figures: None,
) -> Figures:
    """Measures every task's step, and the reference's.

    Args:
        arrays: of `save_batches`.
        preset: of trunk and tasks.
        precision: of activations.
        batch_size: examples a step; the preset's if None.
        keep: gets all figures after each new one.

    Returns:
        For `matrix_product`, `reference` and each task `seconds` a step and
        `tflops`, 10^12 operations a second; for the last two `share_of_peak`
        and `views_per_s`; for tasks `examples_per_s`, and `over_reference`,
        the share of the peak over the reference's.
    """
    figures: Figures = {"matrix_product": _measure_product(precision)}
    peak = figures["matrix_product"]["tflops"]

    def add(name: str, step: Callable, num_views: int, flops: float) -> None:
        seconds = _seconds_a_step(step)
        rate = flops / seconds / 1e12
        figures[name] = {
            "seconds": seconds,
            "tflops": rate,
            "share_of_peak": rate / peak,
            "views_per_s": num_views / seconds,
        }
        keep(figures)

    count = batch_size or 32
    add("reference", *_build_reference(precision, count))
    for name in recipes.default_tasks():
        assignments = [f"train.precision={precision}"]
        if batch_size is not None:
            assignments.append(f"{name}.batch_size={batch_size}")
        config = config_lib.override(
            config_lib.preset_config(preset, [name]), *assignments
        )
        add(name, *_build_task(config, arrays))
        own = figures[name]
        own["examples_per_s"] = config.tasks[name].batch_size / own["seconds"]
        own["over_reference"] = (
            own["share_of_peak"] / figures["reference"]["share_of_peak"]
        )
        keep(figures)
    return figures


def _build_task(
    config: config_lib.RunConfig, arrays: Arrays
) -> tuple[Callable[[], Any], int, float]:
    """Returns a task's step, its views and its operations."""
    from mtssl_tf.models import cost
    from mtssl_tf.tasks import heads
    from mtssl_tf.training import rmsprop
    from mtssl_tf.training import task_model

    ((name, options),) = config.tasks.items()
    task = tasks_lib.find_task(name)(options, config.contract)
    task.use_facts(_below(arrays, f"{name}/facts/"))
    batch = {
        key: np.resize(value, (options.batch_size, *value.shape[1:]))
        for key, value in _below(arrays, f"{name}/batch/").items()
    }
    dtype = heads.dtype_policy(config.train.precision)
    trunk = task_model.TrunkAtStrides(config.trunk, dtype).at(
        options.output_stride
    )
    view_shape = batch["views"].shape[2:]
    model = task_model.build_task_model(trunk, task, view_shape).model
    optimizer = rmsprop.build_rmsprop(
        model.trainable_variables,
        task.learning_rate(),
        config.train.rms_decay,
        config.train.momentum,
        config.train.epsilon,
    )

    def loss_of(trained: Any, others: Any, given: Any) -> tuple[Any, Any]:
        inputs = task.color(given)
        views = keras.ops.reshape(inputs["views"], (-1, *view_shape))
        prediction, others = model.stateless_call(
            trained, others, views, training=True
        )
        return keras.ops.mean(task.loss(prediction, inputs["target"])), others

    num_views = options.batch_size * batch["views"].shape[1]
    flops = _PASSES * cost.trunk_flops(trunk, (num_views, *view_shape))
    return _build_step(model, optimizer, loss_of, batch), num_views, flops


def _build_reference(
    precision: str, count: int
) -> tuple[Callable[[], Any], int, float]:
    """Returns the step of a plain ResNet-101, its views and operations."""
    from mtssl_tf.models import cost
    from mtssl_tf.tasks import heads
    from mtssl_tf.training import rmsprop

    shape = (_REFERENCE_PX, _REFERENCE_PX, 3)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(heads.dtype_policy(precision))
    try:
        trunk = keras.applications.ResNet101V2(
            include_top=False, weights=None, input_shape=shape
        )
        pooled = keras.layers.GlobalAveragePooling2D()(trunk.output)
        logits = keras.layers.Dense(_REFERENCE_CLASSES)(pooled)
    finally:
        keras.config.set_dtype_policy(policy)
    model = keras.Model(trunk.input, logits)
    optimizer = rmsprop.build_rmsprop(
        model.trainable_variables, 1e-3, 0.9, 0.9, 1e-8
    )
    random = np.random.default_rng(0)
    batch: Arrays = {
        "image": random.integers(0, 256, (count, *shape)).astype(np.uint8),
        "label": random.integers(0, _REFERENCE_CLASSES, count),
    }

    def loss_of(trained: Any, others: Any, given: Any) -> tuple[Any, Any]:
        image = keras.ops.cast(given["image"], "float32") / 127.5 - 1.0
        prediction, others = model.stateless_call(
            trained, others, image, training=True
        )
        losses = keras.ops.sparse_categorical_crossentropy(
            given["label"],
            keras.ops.cast(prediction, "float32"),
            from_logits=True,
        )
        return keras.ops.mean(losses), others

    flops = _PASSES * cost.trunk_flops(trunk, (count, *shape))
    return _build_step(model, optimizer, loss_of, batch), count, flops


def _build_step(
    model: Any, optimizer: Any, loss_of: Callable, batch: Arrays
) -> Callable[[], Any]:
    """Returns a function that takes one step and returns its loss."""
    import jax

    gradient_of = jax.value_and_grad(loss_of, has_aux=True)

    @jax.jit(donate_argnums=0)
    def step(state: Any, given: Any) -> Any:
        trained, others, slots = state
        (loss, others), gradients = gradient_of(trained, others, given)
        trained, slots = optimizer.stateless_apply(slots, gradients, trained)
        return (trained, others, slots), loss

    state = [
        # A copy: what is given away must not be a Keras variable's own.
        [jax.numpy.array(each.value, copy=True) for each in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
        )
    ]
    given = jax.device_put(batch)

    def take() -> Any:
        nonlocal state
        state, loss = step(state, given)
        return loss

    return take


def _measure_product(precision: str) -> dict[str, float]:
    """Measures a product of two matrices: what the device reaches at best."""
    import jax

    side = 8192 if jax.default_backend() == "gpu" else 1024
    matrix = jax.numpy.asarray(
        np.random.default_rng(0).normal(size=(side, side)), precision
    )
    product = jax.jit(jax.numpy.matmul)
    seconds = _seconds_a_step(lambda: product(matrix, matrix))
    return {"seconds": seconds, "tflops": 2 * side**3 / seconds / 1e12}


def _seconds_a_step(step: Callable[[], Any]) -> float:
    """Returns the median over turns of several steps each."""

    def seconds(num_steps: int) -> float:
        start = time.perf_counter()
        for _ in range(num_steps):
            last = step()
        last.block_until_ready()
        return (time.perf_counter() - start) / num_steps

    seconds(2)  # compiled with the first
    num_steps = max(1, int(_TURN_S / seconds(2)))
    return float(np.median([seconds(num_steps) for _ in range(_NUM_TURNS)]))


def _below(arrays: Arrays, prefix: str) -> Arrays:
    return {
        key.removeprefix(prefix): value
        for key, value in arrays.items()
        if key.startswith(prefix)
    }


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run("tools.measure_gpu", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    del values  # each flag is read by its holder
    if bool(_SAVE.value) == bool(_LOAD.value):
        raise ValueError("Give one of --save=FILE and --load=FILE.")
    if _SAVE.value:
        save_batches(pathlib.Path(_SAVE.value), _PRESET.value)
        return
    # Of all commands this one alone has another back end.
    os.environ["KERAS_BACKEND"] = "jax"
    import jax

    with np.load(_LOAD.value) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def keep(figures: Figures) -> None:
        record = {"device": jax.devices()[0].device_kind, **figures}
        if _JSON.value:
            text = json.dumps(record, indent=2)
            pathlib.Path(_JSON.value).write_text(text + "\n")

    figures = measure(
        arrays, _PRESET.value, _PRECISION.value, _BATCH_SIZE.value, keep
    )
    print(jax.devices()[0].device_kind)
    for name, each in figures.items():
        numbers = "  ".join(f"{key} {value:.4g}" for key, value in each.items())
        print(f"{name:22}{numbers}")


if __name__ == "__main__":
    command.end(main(sys.argv))
