"""Tests for --dry_run and for the size of the presets."""

import numpy as np
import pytest
import task_cases
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import tasks
from mtssl_tf import train_settings
from mtssl_tf.training import dry_run
from mtssl_tf.training import gpu_hours
from mtssl_tf.training import run
from mtssl_tf.training import step

_FLOAT32 = train_settings.TrainConfig()
_BFLOAT16 = train_settings.TrainConfig(precision="bfloat16")
_IN_PARTS = train_settings.TrainConfig(accumulate=2)


def test_it_tells_size_cost_and_data(samples):
    names = ["colorization", "motion_segmentation"]  # of either source
    config = config_lib.override(
        config_lib.preset_config("paper", names),
        f"data.images={samples.images}",
        f"data.videos={samples.videos}",
    )
    text = dry_run.describe(config)
    # Through block 3, as TF-Slim counts it.
    assert "27,635,200 parameters" in text
    assert "27,558,016 of them trained" in text
    for word in ("GPU hours", "GFLOP", "MiB", "to train on", *names):
        assert word in text


def test_it_tells_steps_cost_and_snapshots():
    config = config_lib.override(
        config_lib.preset_config("tiny", ["exemplar", "colorization"]),
        "exemplar.weight=2",
        "train.steps=1500",
        "train.snapshot_every=4.5",
        "train.costs=costs.json",
    )
    costs = dict.fromkeys(config.tasks, dry_run.TaskCost("", 0, 10**9, 0))
    text = "\n".join(dry_run._describe_hours(config, costs, None))
    assert "1,500 steps (1,000 of exemplar, 500 of colorization)" in text
    assert "1.50e+12 FLOP" in text
    assert "A snapshot every 4.5 GPU hours" in text
    prices = gpu_hours.GpuHours({"exemplar": 36.0, "colorization": 72.0})
    text = "\n".join(dry_run._describe_hours(config, costs, prices))
    assert "Cost: 20 GPU hours by costs.json" in text
    assert "4 snapshots, one every 4.5 GPU hours" in text


def test_the_cost_of_a_step_by_hand():
    config = task_cases.small_config("exemplar")
    task = tasks.TASKS["exemplar"](config.tasks["exemplar"])
    trunk, states = run.build_states(config, {"exemplar": task})
    cost = dry_run.task_cost(
        states["exemplar"], trunk, train_settings.TrainConfig()
    )
    half = dry_run.task_cost(states["exemplar"], trunk, _BFLOAT16)
    parts = dry_run.task_cost(states["exemplar"], trunk, _IN_PARTS)
    weights = 16 * (trunk.count_params() + cost.head_parameters)
    assert cost.num_bytes - weights == 2 * (half.num_bytes - weights)
    assert cost.num_bytes - weights == 2 * (parts.num_bytes - weights)
    assert cost.flops == parts.flops
    # conv1 alone: 7x7x3 to 8 channels at 24x24 places, 16 views, forward
    # and backward.
    conv1 = 3 * 16 * 2 * 7 * 7 * 3 * 8 * 24 * 24
    assert conv1 < cost.flops < 10 * conv1


@pytest.mark.long
def test_units_computed_twice_cost_time_and_less_memory():
    costs = []
    for remat in (False, True):
        config = config_lib.preset_config("paper", ["colorization"])
        config = config_lib.override(config, f"train.remat={remat}")
        task = tasks.TASKS["colorization"](config.tasks["colorization"])
        trunk, states = run.build_states(config, {"colorization": task})
        costs.append(
            dry_run.task_cost(
                states["colorization"], trunk, train_settings.TrainConfig()
            )
        )
    plain, twice = costs
    # A forward pass of block 3 more, on three of the whole trunk.
    assert 1.25 < twice.flops / plain.flops < 1.33
    assert 0.3 < twice.num_bytes / plain.num_bytes < 0.6


@pytest.mark.long
@pytest.mark.parametrize("name", tasks.TASKS)
def test_one_full_size_step_of_the_paper_preset(name):
    config = config_lib.preset_config("paper", [name])
    config = config_lib.override(config, f"{name}.batch_size=2")
    state = task_cases.build_state(config)
    batch = task_cases.batch(state.task)

    values, gradients = step.compute_gradients(state, batch, 2)
    step.apply_gradients(state, gradients)

    assert np.isfinite(step.means(values)["loss"])
    assert bool(step.are_finite(values, gradients))
    assert tf.linalg.global_norm(gradients) > 0
