"""Depth measures against hand-computed values."""

import math

import numpy as np
import pytest

from evaluation.depth import metrics as metrics_lib


def _measure(prediction, target):
    metrics = metrics_lib.DepthMetrics()
    metrics.update(np.array(prediction), np.array(target))
    return metrics.result()


def test_every_measure_on_four_pixels():
    # Ratios 1, 1.2, 1.5 and 2; errors 0, 0.4, -1 and 4.
    result = _measure([[1.0, 2.4], [2.0, 8.0]], [[1.0, 2.0], [3.0, 4.0]])
    assert set(result) == set(metrics_lib.METRICS)
    assert result["delta1"] == 50.0
    assert result["delta2"] == 75.0  # 1.5 < 1.5625
    assert result["delta3"] == 75.0  # 2 > 1.953
    assert result["rel"] == pytest.approx((0 + 0.2 + 1 / 3 + 1) / 4)
    assert result["rms"] == pytest.approx(math.sqrt((0.16 + 1 + 16) / 4))
    logs = [math.log(ratio) for ratio in (1.2, 1.5, 2.0)]
    assert result["log10"] == pytest.approx(sum(logs) / math.log(10) / 4)
    squares = sum(value**2 for value in logs)
    assert result["rms_log"] == pytest.approx(math.sqrt(squares / 4))


def test_thresholds_are_strict_and_symmetric():
    assert _measure([[1.25]], [[1.0]])["delta1"] == 0.0
    assert _measure([[1.24]], [[1.0]])["delta1"] == 100.0
    assert _measure([[1.0]], [[1.24]])["delta1"] == 100.0
    assert _measure([[1.0]], [[1.26]])["delta1"] == 0.0


@pytest.mark.parametrize("missing", [0.0, np.nan])
def test_missing_depth_is_left_out(missing):
    result = _measure([[1.1, -5.0]], [[1.0, missing]])
    assert result["rel"] == pytest.approx(0.1)


def test_pixels_are_pooled_over_pictures():
    metrics = metrics_lib.DepthMetrics()
    metrics.update(np.array([[2.0, 2.0, 2.0]]), np.array([[1.0, 1.0, 1.0]]))
    metrics.update(np.array([[1.0, 9.0, 9.0]]), np.array([[1.0, 0.0, 0.0]]))
    assert metrics.num_pixels == 4
    assert metrics.result()["rel"] == pytest.approx(0.75)


def test_errors_scale_as_they_should():
    rng = np.random.default_rng(0)
    target = rng.uniform(0.5, 5.0, (6, 7))
    prediction = target * rng.uniform(0.5, 2.0, target.shape)
    once, thrice = (_measure(k * prediction, k * target) for k in (1, 3))
    assert thrice.pop("rms") == pytest.approx(3 * once.pop("rms"))
    assert thrice == pytest.approx(once)


def test_no_known_depth_is_an_error():
    metrics = metrics_lib.DepthMetrics()
    metrics.update(np.ones((2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="No pixel with known depth"):
        metrics.result()


@pytest.mark.parametrize("bad", [0.0, -0.25, np.nan])
def test_prediction_must_be_positive(bad):
    with pytest.raises(ValueError, match=f"smallest is {bad}"):
        _measure([[bad]], [[1.0]])


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(3, 2\)"):
        _measure(np.ones((2, 3)), np.ones((3, 2)))


def test_eigen_crop():
    assert metrics_lib.eigen_crop(480, 640) == (slice(45, 471), slice(41, 601))
    rows, columns = metrics_lib.eigen_crop(240, 320)
    assert rows == slice(22, 236) and columns == slice(20, 300)
