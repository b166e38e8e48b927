"""What several tests of training share."""

import pytest

from mtssl_tf.data import sample_set


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> sample_set.SampleSet:
    """A sample set of a file's own, with its cache of labelled clips."""
    return sample_set.build_sample_set(tmp_path_factory.mktemp("cache"))
