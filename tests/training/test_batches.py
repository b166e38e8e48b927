"""Which patches of which pictures make a batch."""

import dataclasses

import numpy as np
import pytest
import task_cases
import tensorflow as tf

from mtssl_tf import tasks
from mtssl_tf.data import open_source
from mtssl_tf.data import order
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.training import batches

_SEED = 7
_BATCH = 8


@pytest.fixture(scope="module")
def source(samples):
    return open_source.open_pictures(str(samples.images))


def _task(name, patches):
    (options,) = task_cases.small_config(name).tasks.values()
    return tasks.TASKS[name](
        dataclasses.replace(
            options, batch_size=_BATCH, patches_per_picture=patches
        )
    )


def _batches(task, source, **options):
    made = batches.build_batches(
        task, source, _SEED, skipped_lib.SkippedExamples(), **options
    )
    return list(made.as_numpy_iterator())


def _assert_equal(one, other):
    assert one.keys() == other.keys()
    for key, value in one.items():
        np.testing.assert_array_equal(value, other[key], err_msg=key)


@pytest.mark.parametrize("patches", [1, 4])
@pytest.mark.parametrize(
    "name", ["relative_position", "colorization", "exemplar"]
)
def test_each_patch_is_cut_by_a_seed_of_its_own(name, patches, source):
    task = _task(name, patches)
    _, second = _batches(task, source, num_positions=2 * _BATCH)
    # Without the pipeline. With one patch a picture it is what it always was.
    pictures = source.stream(
        tf.data.Dataset.range(2 * _BATCH // patches),
        _SEED,
        skipped_lib.SkippedExamples(),
        task.smallest_side_px,
    )
    pictures = list(pictures)[_BATCH // patches :]
    seeds = [
        order.example_seed(tf.constant(position, tf.int64), _SEED)
        for position in range(_BATCH, 2 * _BATCH)
    ]
    expected = [
        task.cut(pictures[number // patches], seed)
        for number, seed in enumerate(seeds)
    ]
    np.testing.assert_array_equal(second["seed"], np.stack(seeds))
    assert len(np.unique(second["seed"], axis=0)) == _BATCH
    for key in expected[0]:
        np.testing.assert_array_equal(
            second[key], np.stack([each[key] for each in expected])
        )


def test_patches_of_one_picture_differ(source):
    (views,) = (
        batch["views"]
        for batch in _batches(
            _task("colorization", 4), source, num_positions=_BATCH
        )
    )
    assert len(np.unique(views.reshape(_BATCH, -1), axis=0)) == _BATCH


def test_a_run_goes_on_at_any_batch(source):
    task = _task("exemplar", 2)
    whole = _batches(task, source, num_positions=4 * _BATCH)
    rest = _batches(
        task, source, first_position=2 * _BATCH, num_positions=2 * _BATCH
    )
    for one, other in zip(whole[2:], rest, strict=True):
        _assert_equal(one, other)


def test_workers_share_a_batch_by_pictures(source):
    task = _task("relative_position", 2)
    whole = _batches(task, source, num_positions=2 * _BATCH)
    parts = [
        _batches(task, source, num_positions=2 * _BATCH, part=(index, 2))
        for index in range(2)
    ]
    for batch, *of_workers in zip(whole, *parts, strict=True):
        joined = {
            key: np.concatenate([part[key] for part in of_workers])
            for key in batch
        }
        _assert_equal(batch, joined)


@pytest.mark.parametrize("patches", [1, 2, 8])
def test_a_picture_is_decoded_once_for_all_its_patches(patches, source):
    numbers = []

    def read(number):
        numbers.append(number)
        return source.read(number)

    counted = dataclasses.replace(source, read=read)
    task = _task("colorization", patches)
    made = _batches(task, counted, num_positions=4 * _BATCH)
    assert len(made) == 4
    assert len(numbers) == 4 * _BATCH // patches
