"""A long run neither grows nor slows down."""

import ctypes

import pytest

from mtssl_tf.reports import tensorboard
from tools import measure_soak


class _Heap(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def test_what_is_logged_is_not_kept(tmp_path):
    # A kind of fault: a Python number that becomes a tensor stays in
    # TensorFlow's cache, some hundred bytes for each that ever came.
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        pytest.skip("mallinfo2 is the GNU C library's, from 2.33 on")
    library.mallinfo2.restype = _Heap
    board = tensorboard.TensorBoardLog(tmp_path)
    in_use = []
    for first in range(0, 6000, 2000):
        for step in range(first, first + 2000):
            board.write_scalars(step, "task", {"loss": step + 0.5})
        board._writer.flush()
        in_use.append(library.mallinfo2().uordblks)
    board.close()
    assert (in_use[2] - in_use[1]) / 2000 < 100  # bytes a line


def test_the_end_is_compared_with_a_settled_step():
    looks = [
        measure_soak.Look(step, 100 + step / 100, 50, 9, 4, step / 10, step / 5)
        for step in range(0, 1001, 100)
    ]
    found = measure_soak.compare(looks, 200)
    assert found["memory"] == pytest.approx(110 / 102)
    assert found["open_files"] == 0
    assert found["speed"] == found["speed_by_cpu"] == pytest.approx(1)


@pytest.mark.long
def test_a_run_neither_grows_nor_slows_down(tmp_path):
    looks = measure_soak.measure(tmp_path, 6000, 250, ())
    found = measure_soak.compare(looks, 2000)
    assert found["memory"] < 1.02, looks
    assert found["open_files"] <= 0, looks
    assert found["speed_by_cpu"] > 0.9, looks
