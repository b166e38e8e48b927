"""Black and white of deep pictures, against hand computation."""

import numpy as np
import pytest

from mtssl_tf.files import value_range


def test_ranges_are_read_and_shown():
    assert value_range.parse("auto") == "auto"
    assert value_range.parse("dtype") == "dtype"
    assert value_range.parse("-1:4095") == (-1.0, 4095.0)
    assert value_range.shown((-1.0, 4095.0)) == "-1:4095"


@pytest.mark.parametrize(
    "text", ["", "5", "5:5", "9:1", "a:b", "0:nan", "1:2:3"]
)
def test_what_is_no_range_is_refused(text):
    with pytest.raises(ValueError, match=f"--value_range={text} is neither"):
        value_range.parse(text)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
def test_values_are_scaled_rounded_and_cut(dtype):
    values = np.array([[[50], [100], [227]], [[228], [355], [9000]]], dtype)
    levels = value_range.to_bytes(values, (100.0, 355.0))
    expected = [[[0], [0], [127]], [[128], [255], [255]]]
    np.testing.assert_array_equal(levels, expected)
    assert levels.dtype == np.uint8


def test_all_of_a_type():
    assert value_range.of_dtype(np.dtype("uint16")) == (0, 65535)
    assert value_range.of_dtype(np.dtype("int16")) == (-32768, 32767)
    assert value_range.of_dtype(np.dtype("float16")) == (0, 1)
    floats = np.array([[[0.0], [0.5], [1.0]]], np.float32)
    np.testing.assert_array_equal(
        value_range.to_bytes(floats, "dtype")[0, :, 0], [0, 128, 255]
    )


@pytest.mark.parametrize(
    ("values", "chosen", "said"),
    [
        ([1000, 1000], None, "all its values are 1000"),
        (
            [0, 4095],
            None,
            "0 to 4095, would all look alike in uint16's 0:65535",
        ),
        ([0, 99], (100.0, 200.0), "alike in --value_range=100:200"),
        ([300, 9000], (100.0, 200.0), "300 to 9000"),
    ],
)
def test_no_picture_becomes_black_without_a_word(values, chosen, said):
    picture = np.array([[values]], np.uint16)
    with pytest.raises(value_range.NoContrastError, match=said):
        value_range.to_bytes(picture, chosen)


def test_percentiles_leave_a_hot_pixel_out_and_digits_are_few():
    values = np.append(np.linspace(103, 3987, 10_000), 65_535)
    assert value_range.of_values(values) == (103, 4000)
    rng = np.random.default_rng(0)
    low, high = value_range.of_values(rng.normal(1e-5, 1e-6, 10_000))
    assert low == pytest.approx(6.9e-6, abs=2e-7)
    assert high == pytest.approx(13.1e-6, abs=2e-7)
    with pytest.raises(value_range.NoContrastError, match="values are 7"):
        value_range.of_values(np.full(100, 7))


@pytest.mark.parametrize("far", [1.7e308, 1e-320])
def test_what_cannot_be_computed_with_has_no_range(far):
    values = np.array([-far, far] * 10)
    with pytest.raises(value_range.NoContrastError, match="too near or too"):
        value_range.of_values(values)


def test_what_is_not_finite_is_counted():
    value_range.check_finite(np.zeros(3, np.uint16))
    with pytest.raises(ValueError, match="2 of its 4 values"):
        value_range.check_finite(np.array([0, np.nan, np.inf, 1]))
