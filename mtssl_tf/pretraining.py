"""Pre-training as one call: what `python -m mtssl_tf.train` does, in Python.

TensorFlow is imported only when there is work: the command shares this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
import pathlib
from typing import Any, TYPE_CHECKING

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf import run_settings
from mtssl_tf import weighting as weighting_lib
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.lazy_imports import keras
from mtssl_tf.process import paths
from mtssl_tf.process import stop_signal
from mtssl_tf.training import cost_table
from mtssl_tf.training import run_directory

if TYPE_CHECKING:
    from mtssl_tf import pretrained as pretrained_lib
    from mtssl_tf.training import loop

_THREADS = "train.intra_op_threads"


def pretrain(
    workdir: str | os.PathLike,
    *,
    tasks: Sequence[str] | None = None,
    images: str | os.PathLike = "",
    videos: str | os.PathLike = "",
    preset: str = "tiny",
    recipe: str = recipes.OURS,
    lasso: bool = False,
    harmonize: bool = False,
    weighting: str = weighting_lib.FIXED,
    steps: int | None = None,
    hours: float | None = None,
    gpu_hours: float | None = None,
    costs: str | os.PathLike = "",
    snapshot_every: float = 0.0,
    value_range: str = value_range_lib.AUTO,
    precision: str = "float32",
    remat: bool = False,
    probe: str | os.PathLike = "",
    keep_best: str = "",
    track: str = "",
    from_weights: str | os.PathLike = "",
    settings: Mapping[str, Any] | None = None,
) -> keras.Model:
    """Trains a trunk on pretext tasks, with the command's flags as arguments.

    The same call again goes on from the last checkpoint. In the main thread
    Ctrl-C and SIGTERM save first and then do what they would have done; in
    another thread nobody's signals are touched. NumPy's, Python's and Keras's
    random generators are seeded with `train.seed`.

    Args:
        workdir: run directory: checkpoints, metrics, TensorBoard's files.
        tasks: names in `mtssl_tf.TASKS`; None takes those of the paper's four
            that there is data for.
        images: what the flag takes (docs/data.md). With neither images nor
            videos: the built-in sample set.
        videos: a folder of video files and of folders of numbered frames.
        preset: scale of trunk and training: tiny, small or paper.
        recipe: ours, paper for what is literally the paper's, or best for the
            tasks and shares that measured best (docs/combining_tasks.md).
        lasso: each task reads its own sparse mix of block-3 units.
        harmonize: inputs alike for all tasks (paper, sec. 3.3): grey.
        weighting: who gets which share of the steps: 'fixed', the tasks' own
            weights, or by a rule: 'learning_progress', 'gradient_consistency',
            'uncertainty' or 'gradnorm' (docs/combining_tasks.md).
        steps: training steps in all; None takes the preset's.
        hours: trains for so long, in place of `steps`.
        gpu_hours: trains as many steps as cost that by `costs`, in place of
            `steps`.
        costs: a file of seconds per step, as `--calibrate` writes it, which
            the run's cost is counted with.
        snapshot_every: GPU hours between snapshots, which are kept.
        value_range: black and white of pictures of more than 8 bits a value:
            auto chooses by the pictures, dtype takes all that their type can
            be, MIN:MAX is MIN and MAX. It stays with the run and its exports.
        precision: float32 or bfloat16, of activations.
        remat: less memory, more time: block 3's units are computed again for
            the backward pass.
        probe: a labelled folder on which the trunk is judged now and then.
        keep_best: by what the best checkpoint is kept, in `workdir/best`:
            'rankme', 'loss' or 'probe'; "" keeps none.
        track: 'mlflow' or 'wandb', either with ':PROJECT' behind it, to hand
            all scalars to; "" is none.
        from_weights: a run, an export or a TF-Slim checkpoint whose trunk the
            run begins with.
        settings: any other setting, {"section.key": value}, as the command's
            `--set`; not TensorFlow's threads, which are the caller's.

    Returns:
        The trained trunk, as `mtssl_tf.load_trunk(workdir)` gives it.

    Raises:
        ValueError: something is unknown or does not fit together, holds
            another run, or no example of the data can be used.
        OSError: data is missing, or `workdir` cannot be written.
        NonFiniteLossError: an ArithmeticError; training diverged.
    """
    if _THREADS in (settings or {}):
        raise ValueError(
            f"{_THREADS} is the command's alone: it is one for the whole "
            "process. Use tf.config.threading before TensorFlow's first use."
        )
    config = run_settings.build_config(
        tasks,
        preset,
        recipe=recipe,
        images=os.fspath(images),
        videos=os.fspath(videos),
        value_range=value_range,
        harmonize=harmonize,
        steps=steps,
        hours=hours,
        gpu_hours=gpu_hours,
        train={
            "use_lasso": lasso,
            "weighting": weighting,
            "costs": os.fspath(costs),
            "snapshot_every": snapshot_every,
            "precision": precision,
            "remat": remat,
            "probe": os.fspath(probe),
            "keep_best": keep_best,
            "track": track,
            "from_weights": os.fspath(from_weights),
        },
        assignments=[
            f"{name}={value}" for name, value in (settings or {}).items()
        ],
    )
    run_settings.check_paths(config)
    cost_table.check(config)
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "pretrain needs Keras's TensorFlow back end, and this process has "
            f"{keras.backend.backend()!r}. Set KERAS_BACKEND before Keras is "
            "imported, or train with python -m mtssl_tf.train."
        )
    if tasks is None:
        run_settings.tell_left_out(config, recipe)
    folder = pathlib.Path(paths.expand(os.fspath(workdir)))
    config = run_settings.use_sample_set(config)
    with run_directory.hold(folder):
        trainer = build_trainer(config, folder)
        stop = stop_signal.StopSignal()
        try:
            trainer.train(stop)
        finally:
            stop.hand_back()
    from mtssl_tf import pretrained

    return pretrained.load_trunk(folder)


def begin(
    config: config_lib.RunConfig, workdir: pathlib.Path
) -> config_lib.RunConfig:
    """Prepares the run directory, and the trunk that the run begins with.

    Returns:
        The settings, with the value range that the run has.

    Raises:
        ValueError: it holds another run, the weights don't fit, or the
            pictures are of no use.
        OSError: there are no such weights or pictures, or the directory
            cannot be written.
    """
    # What reads pictures, and no mistake before here has to wait for.
    from mtssl_tf.training import first_look

    run_directory.check_is_own(workdir)
    loaded = None
    if config.train.from_weights:
        from mtssl_tf import old_weights

        loaded = old_weights.load_for(config, workdir)
    config = first_look.find_value_range(
        workdir, config
    ) or _decide_value_range(config, workdir, loaded)
    run_directory.prepare(workdir, config)
    if loaded is not None:
        old_weights.put_into(workdir, loaded)
    return config


def begins_with_tensorflow(config: config_lib.RunConfig) -> bool:
    """Returns whether `begin` imports TensorFlow."""
    return bool(config.train.from_weights) or paths.needs_tensorflow(
        config.data.images
    )


def _decide_value_range(
    config: config_lib.RunConfig,
    workdir: pathlib.Path,
    loaded: pretrained_lib.Pretrained | None,
) -> config_lib.RunConfig:
    """Returns the settings with the value range that the run begins with."""
    asked = value_range_lib.parse(config.data.value_range)
    chosen = config.contract.value_range
    if chosen is not None:  # by --set
        return config
    if asked != value_range_lib.AUTO:
        chosen = asked
    elif loaded is not None and loaded.contract.value_range is not None:
        chosen = loaded.contract.value_range
    elif "images" in config.sources():
        from mtssl_tf.training import first_look

        chosen = first_look.choose_value_range(config, workdir)
    return config_lib.with_value_range(config, chosen)


def build_trainer(
    config: config_lib.RunConfig, workdir: pathlib.Path
) -> loop.Trainer:
    """Prepares the run directory and puts the run together.

    Args:
        config: checked, with its data named.
        workdir: run directory; a run in it goes on.

    Raises:
        ValueError: it holds another run, or the data is of no use.
        OSError: data is missing, or the directory cannot be written.
    """
    config = begin(config, workdir)
    from mtssl_tf.training import environment
    from mtssl_tf.training import loop
    from mtssl_tf.training import run

    environment.record(workdir)
    return loop.Trainer(run.build_run(config, workdir), workdir)
