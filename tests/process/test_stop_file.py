"""A run is asked for its end by a file, where nobody can signal it."""

import signal

import pytest

from mtssl_tf.process import stop_signal


@pytest.fixture(autouse=True)
def keep_handlers():
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before):
        signal.signal(number, handler)


def test_a_file_asks_for_the_end_and_one_from_before_does_not(tmp_path):
    file = tmp_path / "stop"
    file.touch()
    stop = stop_signal.StopSignal(file)
    assert not stop.is_requested
    file.touch()
    assert stop.is_requested
    assert str(file) in stop.name
    assert stop.number is None
