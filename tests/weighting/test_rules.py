"""Each rule of dynamic weights against what one computes by hand."""

import math

import pytest

from mtssl_tf import weighting
from mtssl_tf.weighting import learning_progress
from mtssl_tf.weighting import rule as rule_lib

A, B, C = "a", "b", "c"


def _windows(num_steps=10, **losses):
    return {
        task: rule_lib.Window(num_steps, loss) for task, loss in losses.items()
    }


@pytest.mark.parametrize("name", weighting.RULES)
def test_a_rule_that_knows_nothing_prefers_nobody(name):
    factors = weighting.RULES[name]([A, B]).factors()
    assert len(set(factors.values())) <= 1


def test_uncertainty_is_the_logarithm_of_the_loss():
    rule = weighting.RULES["uncertainty"]([A, B])
    rule.update(_windows(a=0.5, b=0.25))
    assert rule.figures() == pytest.approx(
        {A: math.log(0.5), B: math.log(0.25)}
    )
    # 1 / sigma^2: twice as certain is twice as often.
    assert rule.factors() == pytest.approx({A: 2.0, B: 4.0})
    # The average over windows: 0.5 + 0.3 (0.3 - 0.5).
    rule.update(_windows(a=0.3))
    assert rule.figures() == pytest.approx(
        {A: math.log(0.44), B: math.log(0.25)}
    )
    # What it minimises: L exp(-s) + s is least at s = log L.
    loss, s = 0.44, rule.figures()[A]

    def objective(s):
        return loss * math.exp(-s) + s

    assert objective(s) < min(objective(s - 0.01), objective(s + 0.01))


def test_gradnorm_gives_more_to_who_learns_slowly():
    rule = weighting.RULES["gradnorm"]([A, B, C])
    rule.update(_windows(a=0.9, b=0.4, c=0.2))
    # Their mean is 0.5.
    assert rule.figures() == pytest.approx({A: 1.8, B: 0.8, C: 0.4})
    # r^1.5 = r sqrt(r), as 1.8 x 1.341641.
    assert rule.factors() == pytest.approx(
        {A: 2.414953, B: 0.715542, C: 0.252982}, abs=1e-6
    )


def test_gradient_consistency_is_the_part_that_is_no_noise():
    rule = weighting.RULES["gradient_consistency"]([A, B, C])
    rule.update(
        {
            A: rule_lib.Window(10, 1.0, 0.6, 2),
            B: rule_lib.Window(10, 1.0, -0.2, 10),
            C: rule_lib.Window(10, 1.0),
        }
    )
    # All begin with 20 times 0.05: (1 + 1.2) / 22, (1 - 2) / 30.
    assert rule.figures() == pytest.approx({A: 0.1, B: -1 / 30, C: 0.05})
    # 2c / (1 + c); of a cosine below 0 what 0.002 gives.
    assert rule.factors() == pytest.approx(
        {A: 0.2 / 1.1, B: 0.004 / 1.002, C: 0.1 / 1.05}
    )
    # Of 200 and more measurements the old ones fade: the 22 count as the 10
    # that are left beside 190 new ones.
    rule.update({A: rule_lib.Window(190, 1.0, 0.2, 190)})
    assert rule.figures()[A] == pytest.approx(0.05 * 0.1 + 0.95 * 0.2)
    rule.update({A: rule_lib.Window(300, 1.0, 0.3, 300)})
    assert rule.figures()[A] == pytest.approx(0.3)


def test_learning_progress_is_the_fall_of_the_loss_a_step():
    rule = weighting.RULES["learning_progress"]([A, B, C])
    rule.update(_windows(a=1.0, b=1.0, c=1.0))
    assert set(rule.factors().values()) == {1.0}  # nothing to compare with
    rule.update(
        {
            A: rule_lib.Window(20, 0.8),  # 0.01 a step
            B: rule_lib.Window(10, 1.0),  # 0
            C: rule_lib.Window(10, 1.1),  # -0.01
        }
    )
    # Quantiles 0.2 and 0.8 of (-0.01, 0, 0.01) are -0.006 and 0.006: rewards
    # 1, 0 and -1. 40 steps at 0.001 make exp(0.04), 1 and exp(-0.04), of
    # which at the first update a half goes to the two others.
    raised = {A: math.exp(0.04), B: 1.0, C: math.exp(-0.04)}
    total = sum(raised.values())
    expected = {
        task: math.log(0.5 * own + 0.5 * (total - own) / 2)
        for task, own in raised.items()
    }
    assert rule.figures() == pytest.approx(expected)
    assert rule.factors()[A] > rule.factors()[B] > rule.factors()[C]
    # A task without a step keeps what it had, but for the mixing.
    rule.update(_windows(b=0.9, c=1.1))
    assert rule.memory["losses"] == {A: 0.8, B: 0.9, C: 1.1}


def test_rewards_are_rescaled_by_their_quantiles():
    rewards = [float(n) for n in range(11)]  # quantiles 2 and 8
    for reward, expected in ((0, -1), (2, -1), (3.5, -0.5), (8, 1), (10, 1)):
        got = learning_progress.rescaled(reward, rewards)
        assert got == pytest.approx(expected)
    assert learning_progress.rescaled(0.3, [0.3] * 5) == 0.0


def test_mixing_keeps_the_sum_and_large_weights():
    mixed = learning_progress.mixed({A: 2000.0, B: 0.0}, 0.25)
    assert mixed[A] == pytest.approx(2000 + math.log(0.75))
    assert mixed[B] == pytest.approx(2000 + math.log(0.25))
    log_weights = {A: 0.3, B: -0.2, C: 0.0}
    after = learning_progress.mixed(log_weights, 0.1)
    assert sum(map(math.exp, after.values())) == pytest.approx(
        sum(map(math.exp, log_weights.values()))
    )


@pytest.mark.parametrize("name", weighting.RULES)
@pytest.mark.parametrize("loss", [0.0, 1e-30, 1e30])
def test_no_loss_makes_a_factor_that_is_none(name, loss):
    rule = weighting.RULES[name]([A, B])
    for _ in range(3):
        rule.update(_windows(a=loss, b=1.0))
        for factor in rule.factors().values():
            assert 0 < factor < math.inf
