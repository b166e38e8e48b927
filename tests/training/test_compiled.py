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


def _takes(state, with_xla, *batches):
    strategy = tf.distribute.get_strategy()
    step = step_lib.StepFunction(strategy, state, with_xla)
    return step, [step.take(batch) for batch in batches]


def _check_equal(name, **train):
    ours, theirs = _state(name, **train), _state(name, **train)
    batch = task_cases.batch(ours.task)
    step, taken = _takes(ours, True, batch)
    _, expected = _takes(theirs, False, batch)
    assert step._take._call._jit_compile, "taken without XLA after all"
    for got, want in zip(taken, expected):
        np.testing.assert_allclose(got.numbers, want.numbers, rtol=2e-3)
        assert bool(got.is_finite) == bool(want.is_finite)
    largest = max(float(tf.reduce_max(abs(g))) for g in expected[0].gradients)
    for got, want in zip(taken[0].gradients, expected[0].gradients):
        np.testing.assert_allclose(got, want, atol=2e-3 * largest)


@pytest.mark.parametrize("name", ["relative_position"])
def test_step_by_xla_is_the_same(name):
    _check_equal(name, use_lasso=True)


@pytest.mark.long
@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_tasks_step_is_compiled_by_xla(name):
    _check_equal(name)


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
    ["choice", "is_wanted"],
    [("always", True), ("never", False), ("auto", False)],
)
def test_without_a_gpu_xla_is_used_where_asked_for(choice, is_wanted):
    strategy = tf.distribute.get_strategy()
    assert compiled.is_xla_wanted(choice, strategy) == is_wanted


def test_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="xla='gpu' is not one of"):
        config_lib.override(
            config_lib.preset_config("tiny", ["exemplar"]), "train.xla=gpu"
        )
