"""A run is asked for its end by a signal, or by a file.

Signals are noted, and given back to who had them.
"""

import os
import signal
import sys
import threading

import pytest

from mtssl_tf.process import stop_signal

pytestmark = pytest.mark.usefixtures("signal_handlers")


def test_a_file_asks_for_the_end_and_one_from_before_does_not(tmp_path):
    file = tmp_path / "stop"
    file.touch()
    stop = stop_signal.StopSignal(file)
    assert not stop.is_requested
    file.touch()
    assert stop.is_requested
    assert str(file) in stop.name
    assert stop.number is None


def test_a_signal_asks_for_the_end(tmp_path):
    stop = stop_signal.StopSignal(tmp_path / "stop")
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.is_requested
    assert (stop.number, stop.name) == (signal.SIGTERM, "SIGTERM")


def test_a_closed_terminal_asks_for_the_end_but_not_under_nohup():
    # A kind of fault: one of the ways in which people end things was not
    # among those that save first.
    before = signal.getsignal(signal.SIGHUP)
    try:
        stop = stop_signal.StopSignal()
        signal.raise_signal(signal.SIGHUP)
        assert stop.is_requested and stop.name == "SIGHUP"
        stop.close()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stop = stop_signal.StopSignal()
        signal.raise_signal(signal.SIGHUP)
        assert not stop.is_requested
        stop.close()
    finally:
        signal.signal(signal.SIGHUP, before)


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


def test_where_there_is_nothing_to_lose_a_signal_does_what_it_did():
    # A kind of fault: Ctrl-C had to wait for a step that was being built.
    came = []
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    stop = stop_signal.StopSignal()
    with stop.nothing_to_lose():
        signal.raise_signal(signal.SIGTERM)
    assert came == [signal.SIGTERM] and not stop.is_requested
    with stop.nothing_to_lose(False):
        signal.raise_signal(signal.SIGTERM)
    assert came == [signal.SIGTERM] and stop.is_requested
    # Who was asked to stop goes on saving.
    with stop.nothing_to_lose():
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_can_be_done_again_is_cut_short():
    # A kind of fault: Ctrl-C had to wait for a judgement that was being traced.
    done = []

    def work():
        done.append("begun")
        try:
            signal.raise_signal(signal.SIGINT)
        except Exception:
            done.append("swallowed")
        done.append("ended")

    stop = stop_signal.StopSignal()
    stop.run_unless_stopped(lambda: done.append("whole"))
    stop.run_unless_stopped(work)
    stop.run_unless_stopped(work)
    assert done == ["whole", "begun"]
    assert stop.number == signal.SIGINT


class _SignalsInItsDestructor:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)


def test_what_a_destructor_loses_is_checked_for(monkeypatch):
    # A kind of fault: an interruption that Python raises where nothing hears
    # it, as while it collects garbage.
    done = []
    shown = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)

    def work():
        for number in range(3):
            stop.check()
            done.append(number)
            if number == 1:
                _SignalsInItsDestructor()
                done.append("lost")

    stop = stop_signal.StopSignal()
    stop.check()  # nothing is cut short outside of `run_unless_stopped`
    stop.run_unless_stopped(work)
    stop.check()
    assert done == [0, 1, "lost"]
    assert not shown  # as a traceback


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


def test_a_signal_is_told_at_once_to_who_asked(tmp_path):
    told = []
    stop = stop_signal.StopSignal(tmp_path / "stop")
    stop.tell(lambda: told.append("before"))
    assert not told
    os.kill(os.getpid(), signal.SIGTERM)
    assert told == ["before"]
    stop.tell(lambda: told.append("after"))
    assert told == ["before", "after"]
