"""Shares of files."""

import pytest

from mtssl_tf.checkup import sample


@pytest.mark.parametrize("share", [0, -1, 2, float("nan")])
def test_refuses_what_is_no_share(share):
    with pytest.raises(ValueError, match="--share="):
        sample.check_share(share)


def test_is_the_same_share_again():
    first = sample.numbers(1000, 0.1).tolist()
    assert first == sample.numbers(1000, 0.1).tolist()
    assert len(set(first)) == 100 and first == sorted(first)


def test_is_never_empty_and_may_be_all():
    assert len(sample.numbers(3, 0.01)) == 1
    assert sample.numbers(3, 1.0).tolist() == [0, 1, 2]
