"""A batch computed part by part is the whole batch's step."""

import keras
import numpy as np
import pytest
import task_cases
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import tasks
from mtssl_tf import train_settings
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.training import judge as judge_lib
from mtssl_tf.training import out_of_memory
from mtssl_tf.training import step as step_lib
from mtssl_tf.training import step_in_parts


def _state(name, freezes_norm=True, **train):
    state = task_cases.build_state(task_cases.small_config(name, **train))
    for layer in state.model.model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            # It would see other batches; frozen it sees none.
            layer.trainable = layer.trainable and not freezes_norm
    return state


def _take(state, num_parts, strategy=None, batch=None):
    strategy = strategy or tf.distribute.get_strategy()
    train = train_settings.TrainConfig(accumulate=num_parts)
    step = step_in_parts.build_step_function(strategy, state, train)
    return step, step.take(batch or task_cases.batch(state.task))


def _config(names, *assignments):
    sizes = [f"{name}.batch_size=4" for name in names]
    return config_lib.override(
        config_lib.preset_config("tiny", names), *sizes, *assignments
    )


_ALIKE = [n for n, task in tasks.TASKS.items() if not task.compares_examples]


@pytest.mark.parametrize(
    "name, train",
    [
        ("relative_position", {"use_lasso": True, "weight_decay": 0.01}),
        pytest.param("colorization", {"remat": True}, marks=pytest.mark.long),
        *[pytest.param(name, {}, marks=pytest.mark.long) for name in _ALIKE],
    ],
)
def test_four_parts_equal_the_whole(name, train):
    # The penalties of a mix count once, not once a part.
    found = []
    for num_parts in (1, 4):
        state = _state(name, **train)
        step, outcome = _take(state, num_parts)
        assert bool(outcome.is_finite)
        found.append(
            [
                *(gradient.numpy() for gradient in outcome.gradients),
                *(variable.numpy() for variable in state.variables),
                np.array(outcome.numbers[0]),  # the loss
            ]
        )
    for whole, parts in zip(*found):
        np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.long
def test_examples_are_compared_within_a_part():
    state = _state("exemplar")
    batch = task_cases.batch(state.task)
    halves = [{k: v[p : p + 4] for k, v in batch.items()} for p in (0, 4)]
    of_halves = [step_lib.compute_gradients(state, h, 8, 2) for h in halves]
    _, outcome = _take(state, 2)
    losses = [step_lib.means(values)["loss"] for values, _ in of_halves]
    expected = np.mean(losses)
    assert float(outcome.numbers[0]) == pytest.approx(expected, rel=1e-5)
    for gradient, one, two in zip(
        outcome.gradients, *(gradients for _, gradients in of_halves)
    ):
        np.testing.assert_allclose(gradient, one + two, atol=1e-5)


def test_a_batch_is_judged_in_the_parts_that_it_is_trained_in():
    # A kind of fault: one chance and one judgement for the whole batch, where
    # the loss compares the examples of a part.
    config = task_cases.small_config("contrastive", accumulate=4)
    (task,) = config.build_tasks().values()
    assert task.chance()["loss"] == pytest.approx(np.log(1 + 2 * (2 - 1)))
    state = task_cases.build_state(config)
    state.task.num_parts = 4
    batch = task_cases.batch(state.task)
    judge = judge_lib.Judge(state, None, 0, 1, skipped_lib.SkippedExamples())
    judge._batches = [batch]
    found = judge.judge(lambda: None)
    losses = []
    for first in range(0, 8, 2):
        part = {key: value[first : first + 2] for key, value in batch.items()}
        inputs = state.task.color(part)
        prediction = step_lib.predict_without_update(state, inputs["views"])
        losses.append(state.task.loss(prediction, inputs["target"]))
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-4)


@pytest.mark.long
def test_a_metric_without_a_say_in_one_part_is_that_of_the_others():
    state = _state("motion_segmentation")
    batch = task_cases.batch(state.task)
    step, outcome = _take(state, 8)
    metrics = dict(zip(step.names, outcome.numbers.numpy()))
    assert all(np.isfinite(value) for value in metrics.values())
    whole_step, whole = _take(_state("motion_segmentation"), 1, batch=batch)
    for name, value in zip(whole_step.names, whole.numbers.numpy()):
        assert metrics[name] == pytest.approx(value, rel=1e-3), name


@pytest.mark.long
def test_in_bfloat16_the_loss_is_nearly_the_same():
    _, whole = _take(_state("colorization", precision="bfloat16"), 1)
    _, parts = _take(_state("colorization", precision="bfloat16"), 2)
    assert float(parts.numbers[0]) == pytest.approx(
        float(whole.numbers[0]), rel=1e-2
    )


@pytest.mark.long
def test_batch_norm_moves_once_a_part():
    state = _state("colorization", freezes_norm=False)
    (moving, *_) = [
        each
        for each in state.model.model.non_trainable_variables
        if each.path.endswith("moving_mean")
    ]
    before = moving.numpy()
    _take(state, 2)
    found = moving.numpy()
    state = _state("colorization", freezes_norm=False)
    batch = task_cases.batch(state.task)
    for first in (0, 4):
        half = {k: v[first : first + 4] for k, v in batch.items()}
        step_lib.compute_gradients(state, half, 8, 2)
    (again, *_) = [
        each
        for each in state.model.model.non_trainable_variables
        if each.path.endswith("moving_mean")
    ]
    assert np.abs(found - before).max() > 1e-3
    np.testing.assert_allclose(found, again.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_on_two_replicas_too(two_replicas):
    _, expected = _take(_state("colorization"), 2)
    with two_replicas.scope():
        state = _state("colorization")
    dataset = tf.data.Dataset.from_tensors(task_cases.batch(state.task))
    dataset = two_replicas.experimental_distribute_dataset(
        dataset.unbatch().batch(8)
    )
    _, outcome = _take(state, 2, two_replicas, next(iter(dataset)))
    np.testing.assert_allclose(
        outcome.numbers[0], expected.numbers[0], atol=1e-5
    )
    for one, two in zip(expected.gradients, outcome.gradients):
        np.testing.assert_allclose(one, two, atol=1e-5)
    with pytest.raises(ValueError, match="2 devices.*multiple of 16, got 8"):
        _take(state, 8, two_replicas)


def test_want_of_memory_names_parts():
    config = _config(["exemplar"], "exemplar.batch_size=8")
    assert "train.accumulate=2)" in out_of_memory.remedy(config, ["exemplar"])
    config = config_lib.override(config, "train.accumulate=2")
    assert "train.accumulate=4)" in out_of_memory.remedy(config, ["exemplar"])
    config = config_lib.override(config, "train.accumulate=4")
    assert "accumulate" not in out_of_memory.remedy(config, ["exemplar"])
    assert "accumulate" not in out_of_memory.remedy(config, ["exemplar"], False)
