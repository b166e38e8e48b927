"""The health watch on series of numbers: what is named, when, and what isn't.

A kind of fault: health was judged by NaN alone, and a run whose loss reached
4e13 ended with "done".
"""

import numpy as np
import pytest

from mtssl_tf import tasks
from mtssl_tf.training import health

_NAMES = ("relative_position", "exemplar")
_WITHIN = 200


def _watch(names=_NAMES) -> health.HealthWatch:
    made = {}
    for name in names:
        kind = tasks.find_task(name)
        made[name] = kind(kind.presets["tiny"])
    return health.HealthWatch(made)


def _first(watch, feed, kind, num_steps=_WITHIN):
    """Feeds step by step; returns the trouble of this kind and its step."""
    for step in range(num_steps):
        feed(step)
        for trouble in watch.take_new():
            if trouble.kind == kind:
                return trouble, step
    return None, num_steps


def _metrics(loss, negative_cosine=0.0):
    return {"loss": loss, "negative_cosine": negative_cosine}


def _noise(step, scale=0.1):
    return float(np.random.default_rng(step + 10_000).normal(0, scale))


@pytest.mark.parametrize("rate", [1.02, 1.5, 10.0])
def test_a_loss_that_grows_is_named_with_what_to_try(rate):
    watch = _watch()

    def feed(step):
        watch.add_steps("relative_position", _metrics(2.1 * rate**step), 1.0)

    trouble, _ = _first(watch, feed, health.LOSS_GROWS)
    assert trouble.subject == "relative_position" and trouble.is_damage
    assert "--set relative_position.learning_rate=" in trouble.message
    assert "2.079" in trouble.message


def test_a_loss_that_overflows_to_infinity_is_named():
    watch = _watch()
    trouble, _ = _first(
        watch,
        lambda step: watch.add_steps("exemplar", _metrics(float("inf"))),
        health.LOSS_GROWS,
    )
    assert trouble.subject == "exemplar"


def test_a_few_bad_batches_are_no_trouble():
    watch = _watch()

    def feed(step):
        loss = 500.0 if step % 10 == 3 else 1.9 + _noise(step)
        watch.add_steps("relative_position", _metrics(loss), 1.0 + 0.1 * step)

    assert _first(watch, feed, health.LOSS_GROWS, 1000)[0] is None


def test_weights_that_grow_are_named_with_the_task_that_does_it():
    watch = _watch()

    def feed(step):
        watch.add_steps("relative_position", _metrics(1.9))
        watch.add_steps("exemplar", _metrics(0.6))
        if step % health.NORM_EVERY == 0:
            watch.add_weight_norms(
                {health.TRUNK: 50 * 1.01**step, "exemplar": 5.0}
            )

    trouble, _ = _first(watch, feed, health.WEIGHTS_GROW)
    assert trouble.subject == health.TRUNK
    # Its loss is above a blind guess's.
    assert "--set exemplar.learning_rate=" in trouble.message


def test_weights_that_grow_slowly_are_no_trouble():
    watch = _watch()

    def feed(step):
        if step % health.NORM_EVERY == 0:
            watch.add_weight_norms({health.TRUNK: 50 + 0.05 * step})

    assert _first(watch, feed, health.WEIGHTS_GROW, 5000)[0] is None


@pytest.mark.parametrize("growth, is_named", [(1.01, True), (1.001, False)])
def test_features_that_grow_behind_batch_norm_are_named(growth, is_named):
    # A kind of fault: what normalises a number hides that it has no bound.
    # Features of a VGG without batch norm grew from 300 to 50 million in 1200
    # steps, a percent a step, and no loss told.
    watch = _watch()

    def feed(step):
        watch.add_steps("relative_position", _metrics(1.9))
        if step % health.NORM_EVERY == 0:
            watch.add_feature_sizes(
                {"relative_position": 2.0, "exemplar": 300 * growth**step}
            )

    trouble, _ = _first(watch, feed, health.FEATURES_GROW, 200)
    assert (trouble is not None) == is_named
    if trouble:
        assert trouble.subject == health.TRUNK and trouble.is_damage
        assert "that exemplar reads went from 300 to" in trouble.message
        assert "trunk.family with batch norm" in trouble.message


@pytest.mark.parametrize("shrink", [0.9, 0.0])
def test_gradients_that_vanish_are_named(shrink):
    watch = _watch()

    def feed(step):
        watch.add_steps("relative_position", _metrics(2.0), 3.0 * shrink**step)

    trouble, _ = _first(watch, feed, health.GRADIENTS_VANISH)
    assert trouble.subject == "relative_position"


def test_a_task_that_is_done_needs_no_gradient():
    watch = _watch()

    def feed(step):
        watch.add_steps("exemplar", _metrics(0.5 * 0.9**step), 0.9**step)

    assert _first(watch, feed, health.GRADIENTS_VANISH, 400)[0] is None


def _embedded(task, embeddings):
    values = task.metrics(embeddings.astype("float32"), None)
    return {name: float(np.mean(value)) for name, value in values.items()}


def test_an_embedding_that_collapses_is_named():
    kind = tasks.find_task("exemplar")
    task = kind(kind.presets["tiny"])
    random = np.random.default_rng(0)
    spread = random.normal(size=(8, 2, 16))
    alike = np.ones_like(spread) + 0.05 * spread
    seen = {}
    for name, vectors in (("alike", alike), ("spread", spread)):
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        means = _embedded(task, vectors)
        watch = _watch()
        seen[name], _ = _first(
            watch,
            lambda step: watch.add_steps("exemplar", {"loss": 0.5, **means}),
            health.EMBEDDING_COLLAPSES,
        )
    assert seen["spread"] is None
    assert seen["alike"].subject == "exemplar" and seen["alike"].is_damage


def test_only_embeddings_collapse():
    for kind in tasks.TASKS.values():
        task = kind(kind.presets["tiny"])
        means = {"loss": 1.0, "negative_cosine": 1.0, "deviation": 0.0}
        is_embedding = kind.compares_examples
        assert task.has_collapsed(means) == is_embedding


@pytest.mark.parametrize("name", ["colorization", "inpainting"])
@pytest.mark.parametrize("share, is_stuck", [(1.03, True), (0.9, False)])
def test_of_some_metrics_less_is_better(name, share, is_stuck):
    # A kind of fault: one sign for all metrics, and what is worse than a guess
    # passed for better.
    watch = _watch((name,))
    chance = tasks.TASKS[name](tasks.TASKS[name].presets["tiny"]).chance()
    metric = tasks.TASKS[name].words.measure

    def feed(step):
        values = {
            "loss": chance["loss"] * (1 + _noise(step, 0.01)),
            metric: chance[metric] * share * (1 + _noise(step, 0.01)),
        }
        watch.add_steps(name, values)

    trouble, _ = _first(watch, feed, health.STUCK_AT_CHANCE, 1500)
    assert (trouble is not None) == is_stuck


@pytest.mark.parametrize(
    "loss, accuracy, within",
    [
        (lambda step: 2.20, 0.125, 200),  # nothing moves
        (lambda step: 2.079, 0.125, 200),  # all outputs are alike
        (lambda step: 2.079 + 0.03 * min(step / 200, 1), 0.125, 1000),
        (lambda step: 2.079 + 0.03 * min(step / 200, 1), 0.148, None),
        (lambda step: 2.20 - 0.0012 * step, 0.125, None),
    ],
)
def test_a_task_stuck_at_chance_is_named_and_a_slow_one_is_not(
    loss, accuracy, within
):
    watch = _watch()

    def feed(step):
        values = {
            "loss": loss(step) + _noise(step, 0.015),
            "accuracy": accuracy + _noise(-1 - step, 0.06),
        }
        watch.add_steps("relative_position", values, 1.0)

    trouble, step = _first(watch, feed, health.STUCK_AT_CHANCE, 1200)
    if within is None:
        assert trouble is None
    else:
        assert within - 200 <= step < within
        assert "2.079" in trouble.message


@pytest.mark.parametrize("num_steps, is_named", [(900, False), (1300, True)])
def test_a_loss_that_jumps_with_the_pictures_is_given_time(num_steps, is_named):
    # A kind of false alarm: a task that learns after 250 steps, and whose loss
    # is another by a fifth of a guess's for each batch from the start.
    watch = _watch(("colorization",))
    task = tasks.TASKS["colorization"]
    chance = task(task.presets["tiny"]).chance()

    def feed(step):
        values = {
            "loss": chance["loss"] * (1.02 + _noise(step, 0.2)),
            "cross_entropy": chance["cross_entropy"] * (1.02 + _noise(step)),
        }
        watch.add_steps("colorization", values)

    trouble, _ = _first(watch, feed, health.STUCK_AT_CHANCE, num_steps)
    assert (trouble is not None) == is_named


@pytest.mark.parametrize("spread, is_named", [(0.007, True), (0.05, False)])
def test_predictions_that_come_apart_are_a_start(spread, is_named):
    # A kind of false alarm: a task that was about to learn, after 219 steps
    # at which the mean of its loss had hardly moved.
    watch = _watch()

    def feed(step):
        loss = 2.08 + _noise(step, 0.007 if step < 50 else spread)
        watch.add_steps("relative_position", {"loss": loss, "accuracy": 0.125})

    trouble, step = _first(watch, feed, health.STUCK_AT_CHANCE, 900)
    assert (trouble is not None) == is_named
    assert not is_named or step < _WITHIN


def test_tasks_that_oppose_each_other_are_named():
    for cosine, is_named in ((-0.7, True), (-0.2, False)):
        watch = _watch()

        def feed(step):
            if step % health.COMPARE_EVERY == 0:
                watch.add_cosines({_NAMES: cosine + _noise(step)})

        trouble, _ = _first(watch, feed, health.TASKS_OPPOSE)
        assert (trouble is not None) == is_named
        assert not is_named or all(n in trouble.message for n in _NAMES)


def test_a_trouble_is_said_once_while_it_lasts_and_again_when_it_returns():
    watch = _watch()
    said = []
    for step in range(6000):
        is_bad = 100 <= step < 300 or step > 5000
        watch.add_steps("exemplar", _metrics(9.0 if is_bad else 0.3), 1.0)
        said += [
            step
            for trouble in watch.take_new()
            if trouble.kind == health.LOSS_GROWS
        ]
    assert [step // 1000 for step in said] == [0, 5]
    assert watch.is_damaged()


def test_means_over_many_steps_count_as_many():
    # As workers of a cluster report them.
    watch = _watch()
    watch.add_steps("exemplar", _metrics(80.0), num_steps=40)
    (trouble,) = watch.take_new()
    assert trouble.kind == health.LOSS_GROWS
