"""A shard against one process, and what it refuses."""

import keras
import numpy as np
import pytest

from mtssl_tf.distribute import shard as shard_lib
from mtssl_tf.training import rmsprop

SIZE = 1000
_RMSPROP = shard_lib.Rmsprop(0.9, 0.9, 1e-8)
_RATE = 0.01


def build_shards(start, tasks, num_shards=2):
    shards = []
    for first, last in shard_lib.bounds(len(start), num_shards):
        shard = shard_lib.Shard(_RMSPROP)
        arrays = {("trunk", "values"): start[first:last]}
        for task in tasks:
            size = last - first
            arrays["trunk", f"{task}/mean_square"] = np.ones(size, np.float32)
            arrays["trunk", f"{task}/momentum"] = np.zeros(size, np.float32)
        shard.load(arrays)
        shards.append(shard)
    return shards


def push(shards, number, task, step, gradient, rate=_RATE):
    edges = shard_lib.bounds(len(gradient), len(shards))
    commit = shard_lib.Commit(task, task, 1, step, rate)
    for shard, (first, last) in zip(shards, edges):
        shard.stage(task, 1, step, {"trunk": gradient[first:last]})
        shard.apply(number, commit)


def values(shards):
    return np.concatenate([s.version()[0]["trunk"] for s in shards])


def gradients(count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(count, SIZE)).astype(np.float32)


def test_shards_equal_one_process():
    start = gradients(1, seed=9)[0]
    shards = build_shards(start, ["a", "b"])
    variable = keras.Variable(start)
    optimizers = {
        task: rmsprop.build_rmsprop([variable], _RATE, 0.9, 0.9, 1e-8)
        for task in "ab"
    }
    for number, gradient in enumerate(gradients(6)):
        task = "ab"[number % 2]
        push(shards, number + 1, task, number // 2, gradient)
        optimizers[task].apply_gradients([(gradient, variable)])
    np.testing.assert_allclose(
        values(shards), variable.numpy(), rtol=1e-6, atol=1e-7
    )


def test_a_rate_may_change_from_step_to_step():
    start = np.zeros(SIZE, np.float32)
    gradient = np.ones(SIZE, np.float32)
    moved = []
    for rate in (0.01, 0.02):
        shards = build_shards(start, ["a"])
        push(shards, 1, "a", 0, gradient, rate)
        moved.append(values(shards))
    np.testing.assert_allclose(moved[1], 2 * moved[0], rtol=1e-6)


def test_a_version_is_whole_and_outlives_the_next_commit():
    shards = build_shards(np.zeros(SIZE, np.float32), ["a"])
    before = shards[0].version()[0]["trunk"]
    copy = before.copy()
    push(shards, 1, "a", 0, gradients(1)[0])
    np.testing.assert_array_equal(before, copy)
    assert (shards[0].version()[0]["trunk"] != copy).any()


def test_a_dump_is_what_load_takes():
    (shard,) = build_shards(np.zeros(SIZE, np.float32), ["a"], num_shards=1)
    push([shard], 1, "a", 0, gradients(1)[0])
    other = shard_lib.Shard(_RMSPROP)
    other.load(shard.dump()[0])
    push([shard], 2, "a", 1, gradients(2)[1])
    push([other], 1, "a", 1, gradients(2)[1])
    np.testing.assert_array_equal(values([shard]), values([other]))


def test_commits_are_applied_in_the_order_of_their_numbers():
    shards = build_shards(np.zeros(SIZE, np.float32), ["a"])
    with pytest.raises(ValueError, match="Commit 2 came after commit 0"):
        push(shards, 2, "a", 0, gradients(1)[0])


def test_nothing_is_applied_that_is_not_staged_as_it_says():
    (shard,) = build_shards(np.zeros(SIZE, np.float32), ["a"], num_shards=1)
    commit = shard_lib.Commit("a", "a", 1, 0, _RATE)
    with pytest.raises(ValueError, match="generation 0 is staged"):
        shard.apply(1, commit)
    shard.stage("a", 2, 0, {"trunk": gradients(1)[0]})
    # What a former generation sends late changes nothing.
    shard.stage("a", 1, 0, {"trunk": gradients(1)[0]})
    with pytest.raises(ValueError, match="generation 2 is staged"):
        shard.apply(1, commit)
    assert not values([shard]).any()


def test_half_precision_on_the_wire_rounds_to_the_nearest():
    gradient = gradients(1)[0]
    sent = shard_lib.to_wire(gradient, "bfloat16")
    assert sent.dtype == np.uint16
    half = keras.ops.cast(gradient, "bfloat16")
    np.testing.assert_array_equal(
        shard_lib.from_wire(sent), keras.ops.cast(half, "float32")
    )
    assert shard_lib.from_wire(gradient) is gradient


@pytest.mark.parametrize("num_shards", [1, 3, 7])
def test_slices_cover_a_vector_once(num_shards):
    edges = shard_lib.bounds(100, num_shards)
    covered = [i for start, stop in edges for i in range(start, stop)]
    assert covered == list(range(100))


def test_a_scale_is_the_trunks_alone():
    # Where heads are stored as well, they keep their own rate.
    gradient = gradients(1)[0]
    moved = {}
    for scale in (1.0, 0.5):
        shard = shard_lib.Shard(_RMSPROP)
        shard.load(
            {
                (segment, name): np.full(SIZE, value, np.float32)
                for segment in ("trunk", "a")
                for name, value in (
                    ("values", 0.0),
                    ("a/mean_square", 1.0),
                    ("a/momentum", 0.0),
                )
            }
        )
        shard.stage("a", 1, 0, {"trunk": gradient, "a": gradient})
        shard.apply(
            1, shard_lib.Commit("a", "a", 1, 0, _RATE, trunk_scale=scale)
        )
        moved[scale] = shard.version()[0]
    np.testing.assert_array_equal(moved[1.0]["a"], moved[0.5]["a"])
    np.testing.assert_allclose(moved[0.5]["trunk"], moved[1.0]["trunk"] / 2)
