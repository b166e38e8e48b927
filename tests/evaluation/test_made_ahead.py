"""One batch ahead, in order, and no further."""

import threading

import pytest

from evaluation import made_ahead as made_ahead_lib


def test_all_are_made_in_order():
    assert [*made_ahead_lib.made_ahead(lambda x: x * x, range(5))] == [
        0,
        1,
        4,
        9,
        16,
    ]
    assert not [*made_ahead_lib.made_ahead(abs, [])]


def test_the_next_one_is_made_while_one_is_used_and_no_more():
    made, second = [], threading.Event()

    def make(number):
        made.append(number)
        if number == 1:
            second.set()
        return number

    coming = made_ahead_lib.made_ahead(make, range(10))
    assert next(coming) == 0
    assert second.wait(timeout=60)
    coming.close()
    assert made == [0, 1]


def test_what_fails_fails_where_it_is_used():
    coming = made_ahead_lib.made_ahead(lambda x: 1 // x, [1, 0])
    assert next(coming) == 1
    with pytest.raises(ZeroDivisionError):
        next(coming)
