"""Names of any bytes, and their order by number."""

import os

from mtssl_tf.files import names


def test_numbers_are_ordered_as_numbers():
    """The kind of fault: order by text where numbers are meant."""
    expected = ["f1_v2.png", "f2_v2.png", "f010.png", "f10.png", "g.png"]
    assert sorted(reversed(expected), key=names.natural_key) == expected
    mixed = ["9", "10", "a", "a9b9", "a9b10", "a10b1", "b"]
    assert sorted(reversed(mixed), key=names.natural_key) == mixed


def test_any_bytes_become_text_that_can_be_written():
    stray = os.fsdecode(b"x\xff\n.jpg")
    assert names.as_bytes(stray) == b"x\xff\n.jpg"
    assert names.as_text(stray) == "x\\xff\n.jpg"
    assert names.shown(stray) == "x\\xff\\n.jpg"
    names.shown(stray).encode()
    assert names.shown("Straße\u202f1.jpg") == "Straße\u202f1.jpg"


def test_a_long_list_is_counted():
    assert names.some(["a", "b"]) == "a, b"
    assert names.some([str(n) for n in range(10)]).endswith("7 and 2 more")
