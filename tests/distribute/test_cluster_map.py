"""What is said of an item that no host of a cluster can take."""

import pytest
import ray

from mtssl_tf.distribute import cluster_map

_HOSTS = [
    {"Alive": True, "Resources": {"CPU": 8.0, "memory": 4.0 * 2**30}},
    {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0, "memory": 2.0**34}},
    {"Alive": False, "Resources": {"CPU": 64.0, "memory": 2.0**40}},
]


@pytest.mark.parametrize(
    "needs, is_said",
    [((8, 0, 0), False), ((2, 1, 16), False), ((8, 1, 0), True)]
    + [((1, 0, 17), True), ((9, 0, 0), True)],
)
def test_what_fits_on_no_host_is_said(monkeypatch, caplog, needs, is_said):
    """One host must have all of it, and the dead have nothing."""
    monkeypatch.setattr(ray, "nodes", lambda: _HOSTS)
    cluster_map._tell_if_none_has_room(*needs)
    assert ("the largest have 8, 1 and 16." in caplog.text) == is_said
