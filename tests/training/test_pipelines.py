"""What ends a task's batches is told, whatever it did elsewhere."""

import pytest
import tensorflow as tf

from mtssl_tf.data import source as source_lib
from mtssl_tf.training import pipelines


def _abort():
    raise tf.errors.InvalidArgumentError(None, None, "assertion failed")


def test_a_source_at_its_end_is_told_and_not_the_step_it_aborted():
    def batches():
        yield 1
        raise source_lib.SourceError("Too many examples cannot be used.")

    made = batches()
    next(made)
    with pytest.raises(source_lib.SourceError, match="Too many"):
        with pipelines.explained(made):
            _abort()


@pytest.mark.parametrize("left", [[], [1]], ids=["ended", "going on"])
def test_what_is_the_steps_own_stays(left):
    with pytest.raises(tf.errors.InvalidArgumentError, match="assertion"):
        with pipelines.explained(iter(left)):
            _abort()
