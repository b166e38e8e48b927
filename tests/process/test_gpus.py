"""GPUs are those that CUDA would show."""

import pytest

from mtssl_tf.process import gpus


@pytest.mark.parametrize(
    ["visible", "expected"],
    [
        (None, ["0", "1"]),
        ("1", ["1"]),
        ("1, 0", ["1", "0"]),
        ("GPU-8932f937", ["GPU-8932f937"]),
        ("0,-1,1", ["0"]),
        ("-1", []),
        ("", []),
    ],
)
def test_gpus_are_those_that_are_visible(
    visible, expected, tmp_path, monkeypatch
):
    for name in ("0000:06:00.0", "0000:07:00.0"):
        (tmp_path / "gpus" / name).mkdir(parents=True)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus.names(tmp_path) == expected
    assert gpus.names(tmp_path / "no_driver") == []


def test_a_container_that_shows_the_driver_alone_has_one(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.names(tmp_path) == ["0"]
