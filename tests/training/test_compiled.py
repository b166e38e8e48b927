"""What XLA compiles gives what TensorFlow gives, and what it cannot is taken
without it.

On CPU: XLA's translation of an operation is the same for a GPU.
"""

import logging

import numpy as np
import pytest
import task_cases
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import tasks
from mtssl_tf.training import compiled
from mtssl_tf.training import step as step_lib


def _state(name, **train):
    return task_cases.build_state(task_cases.small_config(name, **train))


def _by_xla(method, *arguments):
    compiled_by_xla = tf.function(method, autograph=False, jit_compile=True)
    return compiled_by_xla(*arguments)


@pytest.mark.long
def test_step_by_xla_is_the_same():
    strategy = tf.distribute.get_strategy()
    outcomes = {}
    for with_xla in (True, False):
        state = _state("relative_position", use_lasso=True)
        step = step_lib.StepFunction(strategy, state, with_xla)
        outcomes[with_xla] = step.take(task_cases.batch(state.task))
        if with_xla:
            assert step._take._call._jit_compile, "taken without it after all"
    ours, theirs = outcomes[True], outcomes[False]
    np.testing.assert_allclose(ours.numbers, theirs.numbers, rtol=2e-3)
    assert bool(ours.is_finite)
    _check_close(ours.gradients, theirs.gradients)


@pytest.mark.long
@pytest.mark.parametrize("name", tasks.TASKS)
def test_xla_compiles_every_tasks_colours_and_gradients(name):
    """Apart: colours that differ by hundredths of a level of 255, as sines
    and powers do, move a small trunk's gradients by percents.
    """
    state = _state(name)
    batch = task_cases.batch(state.task)
    inputs = state.task.color(batch)
    colored = _by_xla(state.task.color, batch)
    assert set(colored) == set(inputs)
    for key, expected in inputs.items():
        np.testing.assert_allclose(colored[key], expected, atol=0.02)
    size = state.task.config.batch_size

    def gradients(given):
        return step_lib.compute_bare_gradients(state, given, size)

    values, found = _by_xla(gradients, inputs)
    expected_values, expected = tf.function(gradients, autograph=False)(inputs)
    for key, each in expected_values.items():
        np.testing.assert_allclose(values[key], each, rtol=1e-4, atol=1e-5)
    _check_close(found, expected)


def _check_close(found, expected):
    of_all = tf.linalg.global_norm(expected)
    differences = [one - other for one, other in zip(found, expected)]
    # Batch norm over the few places of a small trunk enlarges rounding.
    assert float(tf.linalg.global_norm(differences) / of_all) < 1e-2


def test_what_xla_cannot_compile_is_taken_without_it(caplog):
    class Adds:
        num_calls = 0

        def add(self, value):
            def in_python(array):
                self.num_calls += 1
                return array + np.float32(1)

            return tf.numpy_function(in_python, [value], tf.float32)

    owner = Adds()
    call = compiled.compile_own(owner.add, with_xla=True)
    with caplog.at_level(logging.WARNING):
        assert float(call(tf.constant(2.0))) == 3
        assert float(call(tf.constant(3.0))) == 4
    assert owner.num_calls == 2
    (record,) = caplog.records
    assert "XLA cannot compile a step" in record.getMessage()
    assert "without it" in record.getMessage()


@pytest.mark.parametrize(
    ["choice", "without", "on_one"],
    [
        ("always", True, True),
        ("never", False, False),
        ("auto", False, True),
    ],
)
def test_xla_is_used_on_one_gpu_or_where_asked_for(
    choice, without, on_one, two_replicas, monkeypatch
):
    strategy = tf.distribute.get_strategy()
    assert compiled.is_xla_wanted(choice, strategy) == without
    # No GPU is where tests run; what it decides is no work of TensorFlow's.
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    assert compiled.is_xla_wanted(choice, strategy) == on_one
    assert compiled.is_xla_wanted(choice, two_replicas) == without


def test_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="xla='gpu' is not one of"):
        config_lib.override(
            config_lib.preset_config("tiny", ["exemplar"]), "train.xla=gpu"
        )
