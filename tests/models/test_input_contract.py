"""Pixel ranges by hand."""

import numpy as np
import pytest

from mtssl_tf.models import input_contract


def test_vgg_subtracts_the_means():
    rgb = np.array([[0, 116.779, 255], [123.68, 0, 103.939]])
    expected = [[-123.68, 0, 151.061], [0, -116.779, 0]]
    result = input_contract.InputContract().apply(rgb)
    np.testing.assert_allclose(result, expected, atol=1e-4)


def test_inception_maps_bytes_to_minus_one_to_one():
    rgb = np.array([0, 255, 51], np.uint8)
    result = input_contract.NAMED_CONTRACTS["inception"].apply(rgb)
    np.testing.assert_allclose(result, [-1, 1, -0.6], atol=1e-6)
    assert result.dtype == "float32"


def test_parses_names_and_numbers():
    assert (
        input_contract.InputContract.parse("vgg")
        == input_contract.InputContract()
    )
    parsed = input_contract.InputContract.parse("127.5,127.5,127.5,0.5")
    assert parsed == input_contract.InputContract((127.5, 127.5, 127.5), 0.5)


@pytest.mark.parametrize("text", ["imagenet", "1,2,3", "a,b,c,d"])
def test_parse_names_what_is_known(text):
    with pytest.raises(ValueError, match="vgg, inception") as error:
        input_contract.InputContract.parse(text)
    assert text in str(error.value)


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"means_rgb": (1, 2)}, r"\(1.0, 2.0\)"),
        ({"means_rgb": (1, 2, 300)}, "300"),
        ({"scale": 0}, "got 0"),
        ({"scale": float("nan")}, "nan"),
    ],
)
def test_refuses_bad_values(settings, named):
    with pytest.raises(ValueError, match=named):
        input_contract.InputContract(**settings)
