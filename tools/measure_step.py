"""What a training step costs beside what it cannot do without.

    python -m tools.measure_step --task=TASK --preset=tiny
    python -m tools.measure_step --what=remat --task=TASK --preset=paper \
        --batch_size=2
    python -m tools.measure_step --what=trunk --batch_size=4
    python -m tools.measure_step --what=feed --task=TASK --preset=paper \
        --images=FOLDER
    python -m tools.measure_step --what=xla --task=TASK --preset=paper

`step`: a whole step of the training loop, with its log and health watch, over
its own forward and backward pass alone. `remat`: a step with --remat over one
without, in time and in memory. `trunk`: a step of ResNet-101 through block 3
and its RMSProp over TF-Slim's in a graph of TensorFlow 1. `feed`: a step with
its input over one whose batch is there already: above 1 the device waits for
the host. `xla`: a step compiled by XLA over one that is not.

What is compared stands in one process and takes turns, so that whatever else
the machine does falls on both. For memory each has a process of its own.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import itertools
import json
import multiprocessing
import pathlib
import sys
import tempfile
import time
from typing import Any

from absl import flags

from mtssl_tf import config as config_lib
from mtssl_tf import tasks as tasks_lib
from mtssl_tf import train_settings
from mtssl_tf.process import command
from tools import in_turn
from tools import peak_memory

_FLAGS = flags.FlagValues()
_WHAT = flags.DEFINE_enum(
    "what",
    "step",
    ["step", "remat", "trunk", "feed", "xla"],
    "What to measure.",
    flag_values=_FLAGS,
)
_TASK = flags.DEFINE_enum(
    "task",
    next(iter(tasks_lib.TASKS)),
    list(tasks_lib.TASKS),
    "Whose step.",
    flag_values=_FLAGS,
)
_PRESET = flags.DEFINE_enum(
    "preset", "tiny", list(config_lib.PRESETS), "Scale.", flag_values=_FLAGS
)
_BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", None, "The preset's if absent.", 1, flag_values=_FLAGS
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    train_settings.PRECISIONS,
    "Of activations, for feed and xla.",
    flag_values=_FLAGS,
)
_IMAGES = command.define_path(
    "images", "", "Pictures for feed; the sample set's if absent.", _FLAGS
)
_ROUNDS = flags.DEFINE_integer(
    "rounds", 10, "Turns of each.", 1, flag_values=_FLAGS
)

# ours: a turn has as many steps as the health watch looks at once, but for
# steps that take long.
_STEPS_A_TURN = 25
_TURN_S = 2.0
_WARM_STEPS = 2  # that say how many fit into a turn
# ours: batches that were made while the other one had its turn are used up
# in a small part of it.
_FEED_TURN_S = 5.0

# ours: the paper's trunk and its usual view.
_DEPTH = 101
_IMAGE_PX = 224
_OUTPUT_STRIDE = 16
_RMSPROP = (1e-3, 0.9, 0.9, 1e-8)


def measure_step(
    task: str, preset: str, batch_size: int | None = None, num_rounds: int = 10
) -> in_turn.Figure:
    """Measures a whole step over its bare forward and backward pass.

    To be called before all other use of TensorFlow: the preset has a number
    of threads.

    Args:
        task: its name.
        preset: of trunk, task and training.
        batch_size: of the task; the preset's if None.
        num_rounds: turns of each.

    Returns:
        `ours`, seconds of a step of the training loop, colour and all;
        `reference`, of its gradients alone; and their ratio.
    """
    import tensorflow as tf

    from mtssl_tf.training import step as step_lib

    with _training(task, preset, batch_size) as (run, train):
        batch = first_batch(run)
        state = run.states[task]
        compute = tf.function(
            lambda inputs: step_lib.compute_bare_gradients(
                state, inputs, state.task.config.batch_size
            ),
            autograph=False,
        )
        inputs = state.task.color(batch)

        def compute_alone(num_steps: int) -> None:
            for _ in range(num_steps):
                values, _ = compute(inputs)
            values["loss"].numpy()  # waits

        return _compare(
            lambda num_steps: train(itertools.repeat(batch), num_steps),
            compute_alone,
            num_rounds,
        )


def measure_remat(
    task: str, preset: str, batch_size: int | None = None, num_rounds: int = 4
) -> dict[str, in_turn.Figure]:
    """Measures a step with `--remat` over one without.

    To be called before all other use of TensorFlow: it forks.

    Returns:
        `time` in seconds a step and `memory` in bytes at its peak, above what
        is held before it; each `ours` with, `reference` without and `ratio`.
    """
    import tensorflow  # noqa: F401  before the forks: one import for all

    fork = multiprocessing.get_context("fork")
    # The thread that labels ahead may be at its last part.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        settings = {}
        for remat in (True, False):
            folder = pathlib.Path(name) / f"remat_{remat}"
            folder.mkdir()
            settings[remat] = (str(folder), task, preset, batch_size, remat)
        # Both at once: what they hold is not the less for it.
        with fork.Pool(2, maxtasksperchild=1) as pool:
            found = pool.starmap(_peak_of_step, settings.values(), chunksize=1)
        peaks = dict(zip(settings, found, strict=True))
        steps = {
            remat: _repeated(_build_step(*each))
            for remat, each in settings.items()
        }
        return {
            "time": _compare(steps[True], steps[False], num_rounds),
            "memory": in_turn.compare(
                lambda: peaks[True], lambda: peaks[False], 1
            ),
        }


def measure_feed(
    task: str,
    preset: str,
    batch_size: int | None = None,
    precision: str = "float32",
    images: str = "",
    num_rounds: int = 3,
) -> in_turn.Figure:
    """Measures a step with its input over one whose batch is there already.

    To be called before all other use of TensorFlow, as `measure_step`, whose
    arguments it takes and these:

    Args:
        precision: of activations.
        images: a folder of pictures; the sample set's if "".

    Returns:
        `ours`, seconds of a step of the training loop with batches of the
        pipeline; `reference`, of the same batch over and over; and their
        ratio.
    """
    from mtssl_tf.training import pipelines

    assignments = [f"train.precision={precision}"]
    if images:
        assignments.append(f"data.images={images}")
    with _training(task, preset, batch_size, *assignments) as (run, train):
        batches = pipelines.start_pipeline(run, task, 0)
        batch = next(batches)
        try:
            return _compare(
                lambda num_steps: train(batches, num_steps),
                lambda num_steps: train(itertools.repeat(batch), num_steps),
                num_rounds,
                _FEED_TURN_S,
            )
        finally:
            batches.close()


def measure_xla(
    task: str,
    preset: str,
    batch_size: int | None = None,
    precision: str = "float32",
    num_rounds: int = 5,
) -> in_turn.Figure:
    """Measures a step that XLA compiles over one that it does not.

    Takes the arguments of `measure_step` and these:

    Args:
        precision: of activations.

    Returns:
        `ours`, seconds of a step with XLA, `reference`, without, and their
        ratio.
    """
    from mtssl_tf.training import step as step_lib

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        step, batch = _build_step_function(
            folder, task, preset, batch_size, f"train.precision={precision}"
        )
        by_xla = step_lib.StepFunction(
            step._strategy, step._state, with_xla=True
        )

        def repeated(take: Callable) -> Callable[[int], None]:
            def take_all(num_steps: int) -> None:
                for _ in range(num_steps):
                    numbers = take(batch).numbers
                numbers.numpy()  # waits

            return take_all

        return _compare(repeated(by_xla.take), repeated(step.take), num_rounds)


def measure_trunk(
    batch_size: int = 4,
    image_px: int = _IMAGE_PX,
    num_units: tuple[int, int, int] | None = None,
    num_rounds: int = 5,
) -> in_turn.Figure:
    """Measures the trunk's step, RMSProp and all, over TF-Slim's.

    Args:
        batch_size: pictures a step.
        image_px: their side.
        num_units: of blocks 1 to 3; those of ResNet-101 if None.
        num_rounds: turns of each.

    Returns:
        `ours` and `reference` in seconds a step, and `ratio`.
    """
    # TF-Slim is a reference of tests alone, and so is what builds it.
    fixtures = pathlib.Path(__file__).parents[1] / "tests" / "fixtures"
    sys.path.append(str(fixtures))
    import slim_reference
    import tensorflow.compat.v1 as tf1

    image = slim_reference.random_image(image_px, image_px, batch_size)
    slim = slim_reference.SlimReference(
        "resnet", num_units or slim_reference.UNITS[_DEPTH]
    )
    slim_step = slim.build_step(
        tf1.train.RMSPropOptimizer(*_RMSPROP), _OUTPUT_STRIDE, is_fused=True
    )
    own_step = _build_trunk_step(image, num_units, slim_reference.fixed_loss)
    return _compare(
        _repeated(own_step),
        _repeated(lambda: slim_step(image)),
        num_rounds,
    )


def _build_trunk_step(
    image: Any, num_units: tuple[int, int, int] | None, loss_of: Callable
) -> Callable[[], Any]:
    """Returns a function that takes a step of our trunk, and waits for it."""
    import tensorflow as tf

    from mtssl_tf.models import config as model_config
    from mtssl_tf.models import trunk as trunk_lib
    from mtssl_tf.training import rmsprop

    trunk = trunk_lib.build_trunk(
        model_config.TrunkConfig(
            depth=_DEPTH,
            num_units=num_units,
            output_stride=_OUTPUT_STRIDE,
        )
    )
    variables = trunk.trainable_variables
    optimizer = rmsprop.build_rmsprop(variables, *_RMSPROP)

    @tf.function
    def step(image):
        with tf.GradientTape() as tape:
            loss = loss_of(trunk(image, training=True))
        gradients = tape.gradient(loss, [each.value for each in variables])
        rmsprop.take_step(optimizer, variables, gradients)
        return loss

    # From the host at each step, as TF-Slim's graph is fed.
    return lambda: float(step(tf.constant(image)))


@contextlib.contextmanager
def _training(
    task: str, preset: str, batch_size: int | None, *assignments: str
) -> Iterator[tuple[Any, Callable[[Iterator[Any], int], None]]]:
    """Builds a run as the training command does, for the block.

    Args:
        task: its name.
        preset: of trunk, task and training.
        batch_size: of the task; the preset's if None.
        *assignments: of other settings, as --set takes them.

    Yields:
        A `run.Run`, and a function that takes so many steps of the training
        loop on batches, and waits for them.
    """
    import tensorflow as tf

    from mtssl_tf.training import loop
    from mtssl_tf.training import run as run_lib

    # The thread that labels ahead may be at its last part.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        config = sample_config(
            pathlib.Path(folder), task, preset, batch_size, *assignments
        )
        tf.config.threading.set_intra_op_parallelism_threads(
            config.train.intra_op_threads
        )
        workdir = pathlib.Path(folder) / "run"
        workdir.mkdir()
        run = run_lib.build_run(config, workdir)
        trainer = loop.Trainer(run, workdir)

        def train(batches: Iterator[Any], num_steps: int) -> None:
            for _ in range(num_steps):
                trainer._train_one(task, batches)
            trainer._take_in()

        try:
            yield run, train
        finally:
            trainer._health.close()
            run.close()


def _peak_of_step(*settings) -> int:
    # The first step: what is freed stays with a process, and the second one
    # uses it again.
    return peak_memory.peak_bytes(_build_step(*settings))


def _build_step(
    folder: str,
    task: str,
    preset: str,
    batch_size: int | None,
    remat: bool,
) -> Callable[[], Any]:
    """Returns a function that takes a whole step and waits for it."""
    step, batch = _build_step_function(
        folder, task, preset, batch_size, f"train.remat={remat}"
    )
    step._take.get_concrete_function(batch)  # built, and not yet run
    return lambda: bool(step.take(batch).is_finite)


def _build_step_function(
    folder: str,
    task: str,
    preset: str,
    batch_size: int | None,
    assignment: str,
) -> tuple[Any, dict[str, Any]]:
    """Returns the `step.StepFunction` of a run on the sample set, and a batch.

    Args:
        folder: for run and sample set.
        task: its name.
        preset: of trunk, task and training.
        batch_size: of the task; the preset's if None.
        assignment: of another setting, as --set takes it.
    """
    import tensorflow as tf

    from mtssl_tf.training import run as run_lib
    from mtssl_tf.training import step as step_lib

    config = sample_config(
        pathlib.Path(folder), task, preset, batch_size, assignment
    )
    workdir = pathlib.Path(folder) / "run"
    workdir.mkdir(exist_ok=True)
    run = run_lib.build_run(config, workdir)
    batch = first_batch(run)
    run.close()
    state = run.states[task]
    return step_lib.StepFunction(tf.distribute.get_strategy(), state), batch


def sample_config(
    folder: pathlib.Path,
    task: str,
    preset: str,
    batch_size: int | None,
    *assignments: str,
) -> config_lib.RunConfig:
    """Returns a preset's settings for one task, on the sample set.

    Args:
        folder: for the sample set and what is kept of it.
        task: its name.
        preset: of trunk, task and training.
        batch_size: of the task; the preset's if None.
        *assignments: of other settings, as --set takes them.
    """
    from mtssl_tf.data import sample_set

    samples = sample_set.build_sample_set(folder)
    config = config_lib.override(
        config_lib.preset_config(preset, [task]),
        f"data.images={samples.images}",
        f"data.videos={samples.videos}",
        f"data.cache_dir={folder}",
        "data.num_fit=8",
        *assignments,
    )
    if batch_size is None:
        return config
    return config_lib.override(config, f"{task}.batch_size={batch_size}")


def first_batch(run: Any) -> dict[str, Any]:
    """Returns what the only task of a `run.Run` is first trained on."""
    from mtssl_tf.training import pipelines

    (name,) = run.states
    return next(pipelines.start_pipeline(run, name, 0))


def _repeated(step: Callable[[], Any]) -> Callable[[int], None]:
    def take(num_steps: int) -> None:
        for _ in range(num_steps):
            step()

    return take


def _compare(
    ours: Callable[[int], None],
    reference: Callable[[int], None],
    num_rounds: int,
    turn_s: float | None = None,
) -> in_turn.Figure:
    """Times two functions, of a number of steps, in turn.

    Args:
        ours: takes so many steps.
        reference: the same.
        num_rounds: turns of each.
        turn_s: that a turn of the reference takes; if None `_TURN_S`, or
            less where that is `_STEPS_A_TURN`.
    """
    for each in (ours, reference):
        each(2)  # built with the first, and warm with the second
    start = time.perf_counter()
    reference(_WARM_STEPS)
    step_s = (time.perf_counter() - start) / _WARM_STEPS
    num_steps = max(1, int((turn_s or _TURN_S) / step_s))
    if turn_s is None:
        num_steps = min(_STEPS_A_TURN, num_steps)

    def seconds(take: Callable[[int], None]) -> float:
        start = time.perf_counter()
        take(num_steps)
        return (time.perf_counter() - start) / num_steps

    return in_turn.compare(
        lambda: seconds(ours), lambda: seconds(reference), num_rounds
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run("tools.measure_step", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> None:
    del values  # each flag is read by its holder
    result: Mapping[str, Any]
    if _WHAT.value == "trunk":
        result = measure_trunk(_BATCH_SIZE.value or 4, num_rounds=_ROUNDS.value)
    elif _WHAT.value == "remat":
        result = measure_remat(
            _TASK.value, _PRESET.value, _BATCH_SIZE.value, _ROUNDS.value
        )
    elif _WHAT.value == "feed":
        result = measure_feed(
            _TASK.value,
            _PRESET.value,
            _BATCH_SIZE.value,
            _PRECISION.value,
            _IMAGES.value,
            _ROUNDS.value,
        )
    elif _WHAT.value == "xla":
        result = measure_xla(
            _TASK.value,
            _PRESET.value,
            _BATCH_SIZE.value,
            _PRECISION.value,
            _ROUNDS.value,
        )
    else:
        result = measure_step(
            _TASK.value, _PRESET.value, _BATCH_SIZE.value, _ROUNDS.value
        )
    json.dump(result, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    command.end(main(sys.argv))
