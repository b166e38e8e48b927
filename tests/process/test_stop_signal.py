"""Signals are noted, and given back to who had them."""

import signal
import threading

from mtssl_tf.process import stop_signal


def test_the_signal_that_came_is_handed_on():
    came = []
    before = signal.signal(
        signal.SIGTERM, lambda number, _: came.append(number)
    )
    try:
        stop = stop_signal.StopSignal()
        assert not stop.is_requested
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_requested and stop.name == "SIGTERM" and not came
        stop.hand_back()
        assert came == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_takes_no_signals():
    before = signal.getsignal(signal.SIGINT)
    made = []
    thread = threading.Thread(
        target=lambda: made.append(stop_signal.StopSignal())
    )
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    made[0].hand_back()
    assert not made[0].is_requested
