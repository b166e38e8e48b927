"""A whole step as one function: equal to its parts, few operations, guarded."""

import each_change
import keras
import numpy as np
import pytest
import task_cases
import tensorflow as tf

from mtssl_tf.reports import metrics_window
from mtssl_tf.training import rmsprop
from mtssl_tf.training import step as step_lib

_CASES = {
    "exemplar": {},
    "relative_position": {"use_lasso": True},
    "image_labels": {},
}


def _state(name, **train):
    config = task_cases.small_config(name, **train)
    return task_cases.build_state(config)


def _numbers(state):
    """All that a step changes, by path."""
    variables = [
        *state.model.model.variables,
        *state.optimizer.variables,
    ]
    return {
        f"{index} {variable.path}": variable.numpy()
        for index, variable in enumerate(variables)
    }


@pytest.mark.parametrize("name", _CASES)
def test_steps_equal_those_of_keras(name):
    train = _CASES[name]
    ours, theirs = _state(name, **train), _state(name, **train)
    step = step_lib.StepFunction(tf.distribute.get_strategy(), ours)
    batch = task_cases.batch(ours.task)
    size = ours.task.config.batch_size
    for _ in range(3):
        outcome = step.take(batch)
        values, gradients = step_lib.compute_gradients(theirs, batch, size)
        theirs.optimizer.apply_gradients(zip(gradients, theirs.variables))
        step_lib.proximal.take_proximal_step(theirs.model.mix, theirs.optimizer)
        assert bool(outcome.is_finite)
        got = dict(zip(step.names, outcome.numbers.numpy().tolist()))
        norm = got.pop(step_lib.GRADIENT_NORM)
        num_trunk = step_lib.num_trunk_variables(theirs)
        expected = tf.linalg.global_norm(gradients[:num_trunk])
        assert norm == pytest.approx(float(expected), rel=1e-3)
        assert got == pytest.approx(
            {
                key: float(value)
                for key, value in step_lib.means(values).items()
            },
            rel=1e-3,
        )
    ours, theirs = _numbers(ours), _numbers(theirs)
    assert len(ours) == len(theirs)
    for (path, one), other in zip(ours.items(), theirs.values()):
        np.testing.assert_allclose(
            one, other, rtol=1e-3, atol=1e-5, err_msg=path
        )


def test_weight_decay_adds_each_kernel_to_its_gradient():
    found = []
    for weight_decay in (0.0, 0.5):
        state = _state("exemplar", weight_decay=weight_decay)
        batch = task_cases.batch(state.task)
        size = state.task.config.batch_size
        found.append(step_lib.compute_gradients(state, batch, size)[1])
    assert any(variable.name == "kernel" for variable in state.variables)
    for variable, plain, decayed in zip(state.variables, *found):
        added = 0.5 * variable.value if variable.name == "kernel" else 0.0
        np.testing.assert_allclose(
            decayed, plain + added, atol=1e-4, err_msg=variable.path
        )


@pytest.mark.parametrize(
    "name",
    each_change.only("colorization", of=["colorization", "relative_position"]),
)
def test_units_computed_twice_change_nothing(name):
    found = []
    for remat in (False, True):
        state = _state(name, remat=remat, use_lasso=True)
        step = step_lib.StepFunction(tf.distribute.get_strategy(), state)
        batch = task_cases.batch(state.task)
        numbers = [step.take(batch).numbers.numpy() for _ in range(3)]
        found.append((numbers, list(_numbers(state).values())))
    for one, other in zip(*(tf.nest.flatten(each) for each in found)):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.long
def test_on_replicas_too(two_replicas):
    found = []
    for remat in (False, True):
        with two_replicas.scope():
            state = _state("exemplar", remat=remat)
        for layer in state.model.model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True  # sums within what is recomputed
        dataset = tf.data.Dataset.from_tensors(task_cases.batch(state.task))
        dataset = two_replicas.experimental_distribute_dataset(
            dataset.unbatch().batch(state.task.config.batch_size)
        )
        step = step_lib.StepFunction(two_replicas, state)
        outcome = step.take(next(iter(dataset)))
        found.append([outcome.numbers.numpy(), *_numbers(state).values()])
    for one, other in zip(*found):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_a_metric_is_the_mean_over_all_replicas_examples_with_a_say(
    two_replicas,
):
    # A kind of fault: a mean of means, where one replica had fewer examples
    # with a say, or none.
    state = _state("exemplar")
    metrics = [[1.0] + 7 * [np.nan], 8 * [0.0]]

    @tf.function
    def mean(parts):
        def on_replica(part):
            sums = [metrics_window.sum_and_count(part)]
            (total,) = step_lib.sum_over_replicas(sums)
            return step_lib.means({"auc": total})["auc"]

        return two_replicas.run(on_replica, (parts,))

    for given, expected in (
        (metrics, 1 / 9),
        ([8 * [np.nan], 8 * [0.5]], 0.5),
    ):
        parts = two_replicas.experimental_distribute_values_from_function(
            lambda context, given=given: tf.constant(
                given[context.replica_id_in_sync_group]
            )
        )
        (found, again) = two_replicas.experimental_local_results(mean(parts))
        assert float(found) == float(again) == pytest.approx(expected)
    # And it is so that steps take them.
    batch = task_cases.batch(state.task)
    values, _ = step_lib.compute_gradients(state, batch, 8)
    assert {each.shape[0] for each in values.values()} == {2}
    assert float(values["loss"][1]) == 8


def test_penalties_are_left_out_where_they_are_not_wanted():
    found = []
    for weight_decay in (0.0, 0.5):
        state = _state("exemplar", weight_decay=weight_decay)
        batch = task_cases.batch(state.task)
        found.append(
            step_lib.compute_gradients(state, batch, 8, with_penalties=False)[1]
        )
    for plain, decayed in zip(*found):
        np.testing.assert_allclose(plain, decayed, atol=1e-6)


def test_a_rate_that_falls_is_that_of_the_step():
    variable = keras.Variable(np.zeros(2, np.float32))
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [0, 1], [1.0, 0.1, 0.01]
    )
    optimizer = rmsprop.build_rmsprop([variable], schedule, 0.9, 0.0, 1e-8)
    moved = []
    for _ in range(3):
        before = variable.numpy()
        rmsprop.take_step(optimizer, [variable], [tf.constant([1.0, -1.0])])
        moved.append(variable.numpy() - before)
    # The mean square stays at one.
    expected = np.array([1.0, 0.1, 0.01])[:, None] * [-1, 1]
    np.testing.assert_allclose(moved, expected, rtol=1e-5)
    assert int(optimizer.iterations) == 3


@pytest.mark.parametrize("momentum", each_change.only(0.9, of=[0.0, 0.9]))
def test_what_is_not_finite_reaches_no_weight(momentum):
    state = _state(
        "relative_position", use_lasso=True, momentum=float(momentum)
    )
    step = step_lib.StepFunction(tf.distribute.get_strategy(), state)
    batch = task_cases.batch(state.task)
    step.take(batch)
    before = _numbers(state)
    views = tf.cast(batch["views"], tf.float32) * np.nan
    outcome = step.take({**batch, "views": views})
    assert not bool(outcome.is_finite)
    for path, after in _numbers(state).items():
        if "moving_" in path or "iteration" in path or "momentum" in path:
            continue
        np.testing.assert_allclose(
            after,
            before[path],
            rtol=1e-6 if "raw_weights" in path else 0,
            err_msg=path,
        )
    assert all(
        np.isfinite(after).all()
        for path, after in _numbers(state).items()
        if "moving_" not in path
    )
    # And the next one steps again.
    assert bool(step.take(batch).is_finite)


def test_a_step_adds_few_operations_to_its_gradients():
    # A kind of fault: an update of hundreds of small operations, which on a
    # GPU took as long as the gradients.
    state = _state("exemplar")
    batch = task_cases.batch(state.task)
    step = step_lib.StepFunction(tf.distribute.get_strategy(), state)
    whole = step._take.get_concrete_function(batch).graph.get_operations()
    bare = tf.function(
        lambda part: step_lib.compute_gradients(state, part, 8)
    ).get_concrete_function(batch)
    added = len(whole) - len(bare.graph.get_operations())
    num_variables = len(state.variables)
    kinds = [operation.type for operation in whole]
    assert kinds.count("ResourceApplyRMSProp") == num_variables
    # Handles are operations too, three a variable; the rest are one each
    # for mask, norm and update.
    assert added < 12 * num_variables
    # A branch has the host wait for the GPU.
    assert not {"If", "StatelessIf", "Switch", "While"} & set(kinds) - set(
        operation.type for operation in bare.graph.get_operations()
    )
