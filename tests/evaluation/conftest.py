"""Signals in evaluation tests: handlers that a run sets end with the test."""

import signal

import pytest

from mtssl_tf.process import stop_signal


@pytest.fixture(autouse=True)
def signal_handlers():
    """Puts back the handlers that a run sets."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


@pytest.fixture
def stop(signal_handlers):
    """A stop signal of this process."""
    return stop_signal.StopSignal()
