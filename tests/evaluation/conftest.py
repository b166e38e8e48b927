"""Signals in evaluation tests: handlers that a run sets end with the test."""

import pytest

from mtssl_tf.process import stop_signal


@pytest.fixture(autouse=True)
def signal_handlers(signal_handlers):
    """That of all tests, for every one here."""


@pytest.fixture
def stop(signal_handlers):
    """A stop signal of this process."""
    return stop_signal.StopSignal()
