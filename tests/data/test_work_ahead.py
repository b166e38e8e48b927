"""Work ahead stays near its reader, within its room, and ends."""

import threading
import time

from mtssl_tf.data import work_ahead


class Workshop:
    """Needs `position // 4` at each position; has room for `room`."""

    def __init__(self, last, room):
        self.last, self.room = last, room
        self.made, self.held = [], []
        self.ahead = work_ahead.WorkAhead(
            self.needs,
            self.made.append,
            self.held.append,
            self.held.remove,
            lambda: len(self.held) < self.room,
        )

    def needs(self):
        for position in range(self.last):
            yield position, position // 4


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_nothing_starts_before_the_first_position_is_read():
    threads = threading.active_count()
    Workshop(40, 100)
    assert threading.active_count() == threads


def test_makes_all_that_fits_in_order_and_once():
    shop = Workshop(40, 100)
    shop.ahead.note(0)
    wait_until(lambda: len(shop.made) == 10)
    assert sorted(shop.made) == list(range(10))
    shop.ahead.stop()
    assert not shop.held


def test_room_bounds_it_until_positions_are_read():
    shop = Workshop(100_000, 5)
    shop.ahead.note(0)
    wait_until(lambda: len(shop.made) == 5)
    time.sleep(0.3)
    assert len(shop.made) == 5
    for position in range(0, 4000, 50):
        shop.ahead.note(position)
    wait_until(lambda: len(shop.made) > 5)
    shop.ahead.stop()


def test_stays_near_the_position_that_is_read(monkeypatch):
    monkeypatch.setattr(work_ahead, "_MAX_AHEAD", 40)
    shop = Workshop(100_000, 10_000)
    shop.ahead.note(0)
    wait_until(lambda: len(shop.made) == 11)
    time.sleep(0.3)
    assert len(shop.made) == 11
    shop.ahead.stop()
