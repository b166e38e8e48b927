"""What every registered task promises; a new one is covered on arrival."""

import dataclasses
import functools
import math

import keras
import numpy as np
import pytest
import task_cases
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import tasks
from mtssl_tf.data import order
from mtssl_tf.training import batches
from mtssl_tf.training import step as step_lib


@pytest.fixture(scope="module", params=sorted(tasks.TASKS))
def state(request) -> step_lib.TaskState:
    return task_cases.build_state(task_cases.small_config(request.param))


def test_names_sources_and_presets(state):
    task = state.task
    assert tasks.TASKS[task.name] is type(task)
    assert task.source in ("images", "videos")
    assert set(task.presets) == set(config_lib.PRESETS)
    for options in task.presets.values():
        assert type(options) is task.Config


def test_views_travel_as_uint8_with_the_promised_shape(state):
    cut = task_cases.batch(state.task, 3)
    assert cut["views"].shape == (3, *batches.views_shape(state.task))
    assert cut["views"].dtype == tf.uint8


def test_a_graph_gives_what_the_task_gives_without_one(state):
    task = state.task
    example = task_cases.examples(1)[0]
    seed = order.example_seed(tf.constant(3, tf.int64), 0)
    eager = task.preprocess(dict(example), seed)
    graph = tf.function(task.preprocess)(dict(example), seed)
    tf.nest.map_structure(
        # XLA is off: only the order of fused operations may differ.
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-2),
        eager,
        graph,
    )


def test_colours_do_not_depend_on_who_else_is_in_the_batch(state):
    # Kind of fault: one seed for a batch makes an example look otherwise in
    # another batch, and N workers unlike one.
    task = state.task
    whole = task_cases.batch(task, 5)
    parts = [
        tf.nest.map_structure(lambda leaf: leaf[start:end], whole)
        for start, end in ((0, 2), (2, 5))
    ]
    alone = tf.nest.map_structure(
        lambda *leaves: tf.concat(leaves, 0), *map(task.color, parts)
    )
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-2),
        task.color(whole),
        alone,
    )


def test_the_seed_decides_everything(state):
    task = state.task
    example = task_cases.examples(1)[0]
    seeds = [order.example_seed(tf.constant(p, tf.int64), 0) for p in (1, 1, 2)]
    first, again, other = (
        task.preprocess(dict(example), seed)["views"].numpy() for seed in seeds
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_views_are_in_the_range_of_the_contract(state):
    views = task_cases.inputs(state.task)["views"].numpy()
    rgb = views + np.array(state.task.contract.means_rgb)
    assert rgb.min() > -1e-3 and rgb.max() < 255.001
    shown = state.task.to_displayed(views)
    assert shown.dtype == np.uint8
    np.testing.assert_allclose(shown, rgb, atol=0.51)


def test_loss_and_metrics_are_per_example_and_finite(state):
    inputs = task_cases.inputs(state.task)
    prediction = step_lib.predict(state, inputs["views"])
    size = state.task.config.batch_size
    loss = state.task.loss(prediction, inputs["target"])
    assert loss.shape == (size,) and loss.dtype == tf.float32
    assert np.isfinite(loss).all()
    for metric in state.task.metrics(prediction, inputs["target"]).values():
        assert metric.shape == (size,)


def test_an_untrained_head_is_near_chance(state):
    inputs = task_cases.inputs(state.task)
    prediction = step_lib.predict(state, inputs["views"])
    loss = state.task.loss(prediction, inputs["target"])
    chance = state.task.chance()["loss"]
    # The pictures of a batch are not the fitted ones: near, not equal.
    assert float(tf.reduce_mean(loss)) == pytest.approx(chance, rel=0.5)


def test_gradients_reach_the_trunk_and_only_finite_ones(state):
    batch = task_cases.batch(state.task)
    _, gradients = step_lib.compute_gradients(
        state, batch, state.task.config.batch_size
    )
    assert all(g is not None for g in gradients)
    by_path = {v.path: g for v, g in zip(state.variables, gradients)}
    conv1 = next(g for path, g in by_path.items() if "conv1/kernel" in path)
    assert np.abs(conv1).max() > 0
    assert all(np.isfinite(g).all() for g in gradients)


def test_predictions_do_not_depend_on_the_batch_axis_being_known(state):
    task = state.task
    three = task_cases.inputs(task, 3)
    prediction = step_lib.predict(state, three["views"])
    assert task.loss(prediction, three["target"]).shape == (3,)


def test_drawing_gives_a_picture(state):
    inputs = task_cases.inputs(state.task)
    prediction = step_lib.predict(state, inputs["views"])
    picture = state.task.draw(
        inputs["views"].numpy(), inputs["target"].numpy(), prediction.numpy()
    )
    assert picture.dtype == np.uint8 and picture.shape[-1] == 3
    assert picture.std() > 0


def test_head_survives_saving(state, tmp_path):
    path = tmp_path / "head.weights.h5"
    head = state.model.head
    before = head.get_weights()
    head.save_weights(path)
    head.set_weights([np.zeros_like(w) for w in before])
    head.load_weights(path)
    for old, new in zip(before, head.get_weights()):
        np.testing.assert_array_equal(old, new)


def test_chance_is_finite_and_names_the_loss(state):
    chance = state.task.chance()
    assert "loss" in chance
    assert all(math.isfinite(value) for value in chance.values())


# Last: it changes the state.
def test_loss_falls_in_twenty_steps(state):
    batch = task_cases.batch(state.task)
    size = state.task.config.batch_size
    state.optimizer.learning_rate = 1e-3
    # From one, as in TensorFlow 1, mean squares need a hundred steps to come
    # down to the gradients; the steps before are tiny.
    for mean_square in state.optimizer._velocities:
        mean_square.assign(tf.zeros_like(mean_square))

    # As it is written, as a run does: a Python branch over tensors ends it.
    @functools.partial(tf.function, autograph=False)
    def step(batch):
        values, gradients = step_lib.compute_gradients(state, batch, size)
        assert values["loss"].shape == [2]
        step_lib.apply_gradients(state, gradients)
        return step_lib.means(values)["loss"]

    losses = [float(step(batch)) for _ in range(20)]
    assert np.mean(losses[-3:]) < 0.9 * losses[0]


def test_unknown_tasks_list_the_known_ones():
    with pytest.raises(ValueError, match="'depth'.*relative_position"):
        tasks.find_task("depth")


def test_a_task_cannot_have_no_share():
    for task in tasks.TASKS.values():
        with pytest.raises(ValueError, match="got 0"):
            dataclasses.replace(task.presets["tiny"], weight=0)


def test_a_task_is_incomplete_without_its_methods():
    with pytest.raises(TypeError, match="abstract"):
        tasks.Task(None)


def test_tasks_run_in_bfloat16_with_losses_in_float32():
    name = sorted(tasks.TASKS)[0]
    config = task_cases.small_config(name, precision="bfloat16")
    state = task_cases.build_state(config)
    inputs = task_cases.inputs(state.task)
    prediction = step_lib.predict(state, inputs["views"])
    assert prediction.dtype == tf.float32
    assert state.task.loss(prediction, inputs["target"]).dtype == tf.float32
    # Kind of fault: global settings leak out, into the user's own models.
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("name", sorted(tasks.TASKS))
def test_a_head_takes_its_type_from_the_features(name):
    task = tasks.TASKS[name](tasks.TASKS[name].presets["tiny"])
    for dtype in ("float32", "bfloat16"):
        features = keras.Input((4, 4, 16), dtype=dtype)
        head = keras.Model(features, task.build_head(features))
        assert head.output.dtype == "float32"
        with_weights = [
            layer for layer in head._flatten_layers() if layer.weights
        ]
        hidden, last = with_weights[:-1], with_weights[-1]
        assert last.compute_dtype == "float32"
        kinds = [type(layer).__name__ for layer in with_weights]
        assert {
            layer.compute_dtype
            for layer in hidden
            if not isinstance(layer, keras.Model)
        } == {dtype}, kinds
        assert {v.dtype for v in head.weights} == {"float32"}


def test_what_is_fitted_on_is_made_in_order_by_one_graph(state):
    task = state.task
    examples = task_cases.examples(40)
    for number in (3, 33):  # of another size than the first
        image = examples[number]["image"]
        examples[number] = {
            **examples[number],
            **{
                key: tf.concat([value, value], 0)
                for key, value in examples[number].items()
                if value.shape.rank == 3
            },
        }
        assert examples[number]["image"].shape != image.shape
    found = list(task.preprocessed(iter(examples)))
    assert len(found) == len(examples)
    for number in (0, 3, 31, 32, 33, 39):
        tf.nest.map_structure(
            # XLA is off: only the order of fused operations may differ.
            lambda a, b: np.testing.assert_allclose(a, b, atol=2e-2),
            found[number],
            task.preprocess(dict(examples[number]), tf.constant([0, number])),
        )
