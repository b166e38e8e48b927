"""LassoMix: what it sums, how it is regularised, what it recovers."""

import keras
from keras import ops
import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.models import config as model_config
from mtssl_tf.models import lasso_mix
from mtssl_tf.training import proximal as proximal_lib
from mtssl_tf.training import rmsprop

_NUM_UNITS = 23


def _units(num_units=3, batch=2, seed=0):
    rng = np.random.default_rng(seed)
    return {
        f"unit_{index:02d}": rng.standard_normal((batch, 4, 5, 6)).astype(
            "float32"
        )
        for index in range(1, num_units + 1)
    }


def _built(weights, **settings):
    mix = lasso_mix.LassoMix(**settings)
    mix.build([(None, 1, 1, 1)] * len(weights))
    mix.raw_weights.assign(weights)
    return mix


def test_output_is_the_weighted_sum_by_name_whatever_the_dict_order():
    units = _units()
    mix = lasso_mix.LassoMix(l1=0.0)
    mix(units)
    mix.raw_weights.assign([2.0, -1.0, 2.0])
    want = (2 * units["unit_01"] - units["unit_02"] + 2 * units["unit_03"]) / 3
    shuffled = {name: units[name] for name in ("unit_03", "unit_01", "unit_02")}
    for given in (units, shuffled, list(units.values())):
        np.testing.assert_allclose(
            ops.convert_to_numpy(mix(given)), want, rtol=1e-5, atol=1e-6
        )
    assert mix.unit_names == ("unit_01", "unit_02", "unit_03")


def test_starts_equal_with_norm_one():
    mix = lasso_mix.LassoMix()
    mix(_units(4))
    np.testing.assert_allclose(mix.mixing_weights(), np.full(4, 0.5))


def test_units_of_two_sizes_are_refused_with_the_remedy():
    units = _units()
    units["unit_03"] = units["unit_03"][:, ::2, ::2]
    with pytest.raises(ValueError, match=r"(?s)\(2, 2, 3, 6\).*output stride"):
        lasso_mix.LassoMix()(units)


@pytest.mark.parametrize(
    "setting, value",
    [("l1", -0.5), ("l1", float("nan")), ("group_l1", -2.0), ("group_size", 0)],
)
def test_impossible_settings_are_named(setting, value):
    with pytest.raises(ValueError, match=f"(?s){setting}.*{value}"):
        model_config.LassoConfig(**{setting: value})
    with pytest.raises(ValueError, match=f"(?s){setting}.*{value}"):
        lasso_mix.LassoMix(**{setting: value})


def test_losses_hold_l1_and_group_penalty_of_the_normalised_vector():
    raw = np.array([3.0, 0.0, 0.0, 0.0, 4.0], "float32")
    for scale in (1.0, 100.0):  # the raw norm must not matter
        mix = _built(scale * raw, l1=0.1)
        assert float(sum(mix.losses)) == pytest.approx(0.1 * 1.4, rel=1e-5)
        mix = _built(scale * raw, l1=0.0, group_l1=0.1, group_size=2)
        # Groups (3, 0), (0, 0) and (4), of two, two and one unit.
        want = 0.1 * (np.sqrt(2) * 0.6 + 0.8)
        assert float(sum(mix.losses)) == pytest.approx(want, rel=1e-5)


def test_a_proximal_mix_counts_nothing_in_losses():
    assert not _built([1.0, 2.0], l1=0.1, proximal=True).losses
    with pytest.raises(ValueError, match="proximal=True"):
        _built([1.0, 2.0], l1=0.1).proximal_step(0.1)


def test_proximal_step_soft_thresholds_and_renormalises():
    mix = _built([0.6, -0.8, 0.0], l1=0.5, proximal=True)
    mix.proximal_step(0.2)
    want = np.array([0.5, -0.7, 0.0]) / np.sqrt(0.74)
    np.testing.assert_allclose(mix.mixing_weights(), want, rtol=1e-6)
    mix = _built([0.48, -0.6, 0.64], l1=0.5, proximal=True)
    mix.proximal_step(np.array([0.2, 0.0, 2.0], "float32"))
    want = np.array([0.38, -0.6, 0.0]) / np.sqrt(0.5044)
    np.testing.assert_allclose(mix.mixing_weights(), want, rtol=1e-6)
    assert mix.num_units_off() == 1


def test_proximal_step_switches_a_weak_group_off_as_one():
    raw = np.array([0.9, 0.1, 0.3, 0.3, 0.02], "float32")
    mix = _built(raw, l1=0.0, group_l1=1.0, group_size=2, proximal=True)
    mix.proximal_step(0.31)
    weights = mix.mixing_weights()
    assert (weights[2:] == 0.0).all()
    # What stays keeps its proportions: one number scales a group.
    assert weights[0] / weights[1] == pytest.approx(9.0, rel=1e-5)


def test_a_threshold_above_all_weights_leaves_the_strongest():
    mix = _built([0.3, -0.5, 0.4], l1=1.0, proximal=True)
    mix.proximal_step(100.0)
    np.testing.assert_array_equal(mix.mixing_weights(), [0.0, -1.0, 0.0])
    assert mix.num_units_off() == 2


def test_num_units_off_counts_up_to_a_threshold():
    mix = _built([1.0, 1e-4, 0.0])
    assert mix.num_units_off() == 1
    assert mix.num_units_off(1e-3) == 2


def test_a_saved_model_comes_back_with_its_mix(tmp_path):
    inputs = {name: keras.Input((4, 5, 6), name=name) for name in _units()}
    mix = lasso_mix.LassoMix(0.02, 0.03, 2, True, name="exemplar_mix")
    model = keras.Model(inputs, mix(inputs))
    mix.raw_weights.assign([0.6, 0.0, -0.8])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("exemplar_mix")
    assert layer.lasso == model_config.LassoConfig(0.02, 0.03, 2, True)
    np.testing.assert_array_equal(layer.mixing_weights(), mix.mixing_weights())
    np.testing.assert_allclose(
        loaded(_units()).numpy(), model(_units()).numpy()
    )


def _planted(seed=0, num_examples=64):
    """Units, and a target that reads four of them plus noise."""
    rng = np.random.default_rng(seed)
    units = rng.standard_normal((_NUM_UNITS, num_examples, 2, 2, 8)).astype(
        "float32"
    )
    truth = np.zeros(_NUM_UNITS, "float32")
    truth[[2, 9, 17, 22]] = [0.5, -0.6, 0.3, 0.4]
    truth /= np.linalg.norm(truth)
    noise = 0.05 * rng.standard_normal(units.shape[1:]).astype("float32")
    return units, np.tensordot(truth, units, 1) + noise, truth


def _fit(mix, units, target, num_steps, after_step=lambda: None):
    """Fits the mix by mean square error with the project's RMSProp."""
    mix.build([(None, 2, 2, 8)] * _NUM_UNITS)
    optimizer = rmsprop.build_rmsprop(
        mix.trainable_variables, 1e-3, 0.9, 0.9, 1e-8
    )

    @tf.function(jit_compile=False)
    def step(units, target):
        with tf.GradientTape() as tape:
            error = tf.cast(mix(tf.unstack(units)), "float32") - target
            loss = tf.add_n([tf.reduce_mean(tf.square(error))] + mix.losses)
        gradients = tape.gradient(loss, mix.trainable_variables)
        optimizer.apply(gradients)
        proximal_lib.take_proximal_step(mix, optimizer)

    num_batches = target.shape[0] // 16
    batches = [
        (
            tf.constant(units[:, index::num_batches]),
            tf.constant(target[index::num_batches]),
        )
        for index in range(num_batches)
    ]
    for index in range(num_steps):
        step(*batches[index % num_batches])
        after_step()
    return mix


def test_a_planted_mix_is_recovered_with_exact_zeros():
    units, target, truth = _planted()
    mix = _fit(lasso_mix.LassoMix(l1=0.02, proximal=True), units, target, 1500)
    weights = mix.mixing_weights()
    np.testing.assert_array_equal(weights != 0.0, truth != 0.0)
    np.testing.assert_allclose(weights, truth, atol=1e-2)
    assert mix.num_units_off() == _NUM_UNITS - 4


def test_without_a_penalty_the_mix_is_dense():
    units, target, _ = _planted()
    mix = _fit(lasso_mix.LassoMix(l1=0.0), units, target, 300)
    assert mix.num_units_off() == 0


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "bfloat16"])
@pytest.mark.parametrize("proximal", [False, True])
def test_norm_is_one_after_every_step(policy, proximal):
    units, target, _ = _planted()
    mix = lasso_mix.LassoMix(l1=0.02, proximal=proximal, dtype=policy)

    def check_norm():
        raw = mix.raw_weights.numpy().astype("float64")
        assert abs(np.linalg.norm(raw) - 1.0) < 1e-6
        weights = mix.mixing_weights().astype("float64")
        assert abs(np.linalg.norm(weights) - 1.0) < 1e-6

    _fit(mix, units, target, 30, check_norm)
    assert mix.compute_dtype == policy.removeprefix("mixed_")
    assert mix.raw_weights.dtype == "float32"


@pytest.mark.parametrize("proximal", [False, True])
def test_two_replicas_agree_with_one(two_replicas, proximal):
    units, target, _ = _planted(num_examples=32)

    def train(strategy):
        num_replicas = strategy.num_replicas_in_sync
        with strategy.scope():
            mix = lasso_mix.LassoMix(l1=0.02, proximal=proximal)
            mix.build([(None, 2, 2, 8)] * _NUM_UNITS)
            optimizer = rmsprop.build_rmsprop(
                mix.trainable_variables, 1e-3, 0.9, 0.9, 1e-8
            )

        def step(units, target):
            with tf.GradientTape() as tape:
                error = mix(tf.unstack(units)) - target
                loss = tf.add_n([tf.reduce_mean(tf.square(error))] + mix.losses)
                loss /= num_replicas
            optimizer.apply(tape.gradient(loss, mix.trainable_variables))
            proximal_lib.take_proximal_step(mix, optimizer)

        @tf.function(jit_compile=False)
        def run():
            def part(values, axis):
                return strategy.experimental_distribute_values_from_function(
                    lambda context: tf.constant(
                        np.split(values, num_replicas, axis)[
                            context.replica_id_in_sync_group
                        ]
                    )
                )

            strategy.run(step, (part(units, 1), part(target, 0)))

        for _ in range(5):
            run()
            raw = strategy.experimental_local_results(mix.raw_weights.value)
            for value in raw:
                norm = np.linalg.norm(value.numpy().astype("float64"))
                assert abs(norm - 1.0) < 1e-6
        return mix.mixing_weights(), raw

    alone, _ = train(tf.distribute.get_strategy())
    together, raw = train(two_replicas)
    np.testing.assert_array_equal(raw[0], raw[1])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.ptp(alone) > 1e-3  # it has left the start
