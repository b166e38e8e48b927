"""All ranks of a step compute with one trunk, whoever asks first."""

from mtssl_tf.distribute import coordinator as coordinator_lib
from mtssl_tf.distribute import shard as shard_lib

_TASK = "a"


def _call_shards(method, *arguments):
    _call_shards.count += method == "apply"
    return [(method, _call_shards.count)]


def _build():
    _call_shards.count = 0
    coordinator = coordinator_lib.Coordinator(
        coordinator_lib.Plan(100, 100, {_TASK: 1.0}, "hybrid", 1, 1.0),
        _call_shards,
        {_TASK: 0},
        {_TASK: None},
    )
    coordinator.admit(_TASK, 2)
    return coordinator


def _commit(coordinator, step):
    commit = shard_lib.Commit(_TASK, _TASK, 1, step, 0.1)
    assert coordinator.commit(commit, 0, [0]).status == "ok"


def test_a_rank_that_is_ahead_does_not_change_its_peers_trunk():
    # Two that race for one slot: the first rank to begin a step replaced the
    # trunk of the step before, which another may still ask for.
    coordinator = _build()
    _commit(coordinator, 0)
    second = coordinator.begin(_TASK, 1, 2).trunk
    _commit(coordinator, 1)
    assert coordinator.begin(_TASK, 1, 3).trunk != second
    assert coordinator.begin(_TASK, 1, 2).trunk == second


def test_trunks_of_former_steps_and_generations_are_let_go():
    coordinator = _build()
    for step in range(5):
        _commit(coordinator, step)
        coordinator.begin(_TASK, 1, step + 2)
    assert set(coordinator._groups[_TASK].begun) == {5, 6}
    coordinator.admit(_TASK, 1)
    assert not coordinator._groups[_TASK].begun
