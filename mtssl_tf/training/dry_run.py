"""What a run would do and cost, without doing it: `--dry_run`."""

from __future__ import annotations

import dataclasses
import math

import keras

from mtssl_tf import config as config_lib
from mtssl_tf import train_settings
from mtssl_tf import weighting
from mtssl_tf.data import source as source_lib
from mtssl_tf.models import cost
from mtssl_tf.models import recomputed_trunk
from mtssl_tf.training import batches
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import run
from mtssl_tf.training import schedule
from mtssl_tf.training import step

# A backward pass costs about two forward passes.
_FORWARD_PASSES = 3
# Weight, gradient, mean square and momentum, float32 each.
_BYTES_PER_PARAMETER = 4 * 4
# NVIDIA K40, the paper's GPU: 4.29 TFLOP/s in single precision at best, and
# half of it taken for sustained (ours).
K40_FLOPS = 0.5 * 4.29e12


@dataclasses.dataclass(frozen=True)
class TaskCost:
    """What one step of a task costs.

    Attributes:
        views: number and size of the views that pass the trunk.
        head_parameters: of the head, with its mix.
        flops: of forward and backward pass.
        num_bytes: of weights, gradients, slots and kept activations.
    """

    views: str
    head_parameters: int
    flops: int
    num_bytes: int


def describe(
    config: config_lib.RunConfig, prices: gpu_hours.GpuHours | None = None
) -> str:
    """Returns the settings, the data found, and the cost, as text.

    Args:
        config: the settings.
        prices: of a step of each task, where they were measured.
    """
    sources = run.open_sources(config)
    tasks = config.build_tasks()
    trunk, states = run.build_states(config, tasks)
    costs = {
        name: task_cost(state, trunk, config.train)
        for name, state in states.items()
    }
    lines = [config_lib.to_json(config), "Data"]
    lines += [_describe_source(*item) for item in sources.items()]
    lines += [
        "",
        f"Trunk: {trunk.count_params():,} parameters, "
        f"{sum(math.prod(w.shape) for w in trunk.trainable_variables):,} of "
        "them trained",
        "",
        f"{'one step of':22}{'views':>18}{'head':>14}{'GFLOP':>10}{'MiB':>9}",
    ]
    for name, each in costs.items():
        lines.append(
            f"{name:22}{each.views:>18}{each.head_parameters:>14,}"
            f"{each.flops / 1e9:>10,.1f}{each.num_bytes / 2**20:>9,.0f}"
        )
    lines += ["", *_describe_hours(config, costs, prices)]
    return "\n".join(lines)


def task_cost(
    state: step.TaskState,
    trunk: keras.Model,
    train: train_settings.TrainConfig,
) -> TaskCost:
    """Counts what a step of a task costs.

    Memory is what the weights and their slots take, and every output of every
    layer that is kept for the backward pass; buffers of single operations
    come on top of it.
    """
    per_example, height, width, channels = batches.views_shape(state.task)
    num_views = state.task.config.batch_size * per_example
    model = state.model.model
    shape = (num_views, height, width, channels)
    trunk_at_stride = next(
        layer for layer in model.layers if isinstance(layer, keras.Model)
    )
    flops = _FORWARD_PASSES * cost.trunk_flops(trunk_at_stride, shape)
    kept = _count_activations(trunk_at_stride, shape[1:])
    recomputed = state.model.recomputed
    if recomputed is not None:
        flops += cost.trunk_flops(trunk_at_stride, shape) - cost.trunk_flops(
            recomputed.stem, shape
        )
        kept = _count_kept(recomputed, shape[1:])
    parameters = trunk.count_params() + state.model.head.count_params()
    bytes_per_value = 2 if train.precision == "bfloat16" else 4
    # Of a part of the batch at a time.
    activations = num_views * (
        kept + _count_activations(state.model.head, None)
    )
    activations //= train.accumulate
    return TaskCost(
        f"{num_views} of {height}x{width}",
        state.model.head.count_params(),
        flops,
        _BYTES_PER_PARAMETER * parameters + bytes_per_value * activations,
    )


def _count_kept(
    trunk: recomputed_trunk.RecomputedTrunk, input_shape: tuple[int, int, int]
) -> int:
    """Returns how many values are kept at once for one view.

    Those of the stem, every unit's output, and one unit's inside.
    """
    shape = trunk.stem.compute_output_shape((1, *input_shape))
    kept, inside = _count_activations(trunk.stem, input_shape), []
    for unit in trunk.units.values():
        inside.append(_count_activations(unit, shape[1:]))
        shape = unit.compute_output_shape(shape)
        kept += math.prod(shape)
    return kept + max(inside)


def _count_activations(
    model: keras.Model, input_shape: tuple[int, int, int] | None
) -> int:
    """Returns how many values the layers put out for one view."""
    total = 0

    def count(layer, *args, **kwargs):
        nonlocal total
        outputs = layer(*args, **kwargs)
        for output in keras.tree.flatten(outputs):
            total += math.prod(size or 1 for size in output.shape)
        return outputs

    keras.models.clone_model(
        model,
        input_tensors=(
            keras.Input(batch_shape=(1, *input_shape), dtype="float32")
            if input_shape
            else None
        ),
        clone_function=lambda layer: layer,
        call_function=count,
    )
    return total


def _describe_source(kind: str, source: source_lib.SplitSource) -> str:
    held_out = len(source.held_out) if source.held_out else 0
    return (
        f"  {kind}: {len(source.training):,} to train on, {held_out:,} held "
        f"out, in {source.training.description}"
    )


def _describe_hours(
    config: config_lib.RunConfig,
    costs: dict[str, TaskCost],
    prices: gpu_hours.GpuHours | None,
) -> list[str]:
    weights = {name: task.weight for name, task in config.tasks.items()}
    steps = schedule.steps_after(config.train.steps, weights)
    flops = sum(count * costs[name].flops for name, count in steps.items())
    hours = flops / K40_FLOPS / 3600
    each = ", ".join(f"{count:,} of {name}" for name, count in steps.items())
    if config.train.weighting != weighting.FIXED:
        each += f", before --weighting={config.train.weighting} moves them"
    return [
        f"{config.train.steps:,} steps ({each}): {flops:.2e} FLOP, about "
        f"{hours:,.2f} GPU hours on the paper's K40 (at "
        f"{K40_FLOPS / 1e12:.1f} TFLOP/s sustained; convolutions of the "
        "trunk only)",
        *_describe_cost(config, steps, prices),
    ]


def _describe_cost(
    config: config_lib.RunConfig,
    steps: dict[str, int],
    prices: gpu_hours.GpuHours | None,
) -> list[str]:
    every = config.train.snapshot_every
    if prices is None:
        lines = [
            "Cost: counted with the pace of the run's own first steps; "
            "--calibrate --costs=FILE measures it beforehand"
        ]
        return lines + [f"A snapshot every {every:g} GPU hours"] * bool(every)
    hours = prices.of(steps)
    lines = [f"Cost: {hours:,.3g} GPU hours by {config.train.costs}"]
    if every:
        count = gpu_hours.num_passed(hours, every)
        lines.append(f"{count:,} snapshots, one every {every:g} GPU hours")
    return lines
