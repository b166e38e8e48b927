"""Elements are ready before they are asked for: one, and no more."""

import threading
import time

import pytest
import tensorflow as tf

from mtssl_tf.data import source as source_lib


class _NoSource(source_lib.Source):
    """What `iterate` asks a source for when a stream ends."""

    description = "nothing"
    names = ()

    def __len__(self):
        return 0

    def subset(self, indices):
        return self

    def stream(self, positions, seed, skipped):
        return positions


class _Elements:
    """Counts what is taken; waits for `go` before the last one."""

    def __init__(self, error=None):
        self.num_taken = 0
        self.taken = threading.Semaphore(0)
        self._error = error

    def __iter__(self):
        for number in range(4):
            self.num_taken += 1
            self.taken.release()
            yield number
        if self._error is not None:
            raise self._error


def test_one_element_is_ready_ahead_and_no_more():
    elements = _Elements()
    iterator = source_lib.iterate(elements, _NoSource())
    assert elements.num_taken == 0
    assert next(iterator) == 0
    for _ in range(2):
        assert elements.taken.acquire(timeout=10)
    time.sleep(0.1)
    assert elements.num_taken == 2
    assert list(iterator) == [1, 2, 3]


def test_an_error_comes_after_what_was_before_it():
    iterator = source_lib.iterate(
        _Elements(tf.errors.DataLossError(None, None, "torn")), _NoSource()
    )
    assert [next(iterator) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(tf.errors.DataLossError, match="torn"):
        next(iterator)


def test_letting_go_ends_the_thread():
    before = set(threading.enumerate())
    iterator = source_lib.iterate(_Elements(), _NoSource())
    next(iterator)
    (thread,) = set(threading.enumerate()) - before
    del iterator
    thread.join(10)
    assert not thread.is_alive()


def test_elements_are_brought_to_a_device():
    dataset = tf.data.Dataset.from_tensors(
        {"views": tf.ones([2, 3]), "target": tf.constant([1, 2])}
    )
    (batch,) = source_lib.iterate(dataset, _NoSource(), "CPU:1")
    for name in ("views", "target"):
        assert batch[name].device.endswith("CPU:1")
    assert batch["target"].numpy().tolist() == [1, 2]


def test_the_end_of_a_dataset_is_no_error_of_tensorflows(monkeypatch):
    """That error aborts what other threads have on its way to a GPU.

    So at the end of held-out batches, fetched ahead, whatever judged the last
    of them failed with "End of sequence". The kind is a dataset with an end
    that is read in another thread than its elements are worked on.
    """
    dataset = tf.data.Dataset.range(3).map(lambda number: {"number": number})

    def fail(iterator):
        raise AssertionError("it ends by an error")

    monkeypatch.setattr(type(iter(dataset)), "__next__", fail)
    found = source_lib.iterate(dataset, _NoSource())
    assert [int(each["number"]) for each in found] == [0, 1, 2]
