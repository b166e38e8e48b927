"""Where losses lie in the picture, against places computed by hand."""

import pytest
import written_run

from mtssl_tf.pages import axes
from mtssl_tf.pages import curve
from mtssl_tf.pages import task_record


def _draw(training, held_out, last_step=100):
    lines = written_run.lines(training, held_out)
    record = task_record.load_task_records(lines)[written_run.TASK]
    return curve.draw(record.measure(), last_step)


def test_places_are_those_of_the_axes():
    drawn = _draw((1.0, 2.0), (1.5,))
    # From 1 to 2 with 8 % of room: 0.92 to 2.08, over 204 units from 216 up.
    assert drawn.chance == pytest.approx(216 - 204 * (2 - 0.92) / 1.16, abs=0.1)
    (dot,) = drawn.dots
    assert dot.y == pytest.approx(216 - 204 / 2, abs=0.1)
    # Step 10 of 100, over 352 units from 44.
    assert dot.x == pytest.approx(44 + 35.2, abs=0.1)
    assert dot.text == "step 10: held out 1.500" and not dot.is_above
    assert drawn.raw.split()[0] == f"79.2,{216 - 204 * 0.08 / 1.16:.1f}"
    assert drawn.smooth == drawn.raw


def test_what_diverged_does_not_hide_the_rest():
    drawn = _draw((1.0, 4e13, 1.0), (4e13,))
    assert drawn.is_cut and drawn.dots[0].is_above
    assert drawn.dots[0].y == axes.TOP
    assert 50 < drawn.chance < 200


def test_a_flat_line_is_no_mountain():
    drawn = _draw((2.0, 2.001), ())
    first, second = (float(p.split(",")[1]) for p in drawn.raw.split())
    assert abs(first - second) < 1


def test_a_run_at_its_start_is_drawn():
    drawn = _draw((2.0,), (2.0,), last_step=0)
    assert drawn.x_ticks[0].text == "0" and drawn.dots


def test_a_mean_is_centred_and_over_a_part():
    points = [(step, float(step % 2)) for step in range(500)]
    means = curve.smoothed(points)
    # Ten to each side: 21 points, of which 10 or 11 are 1.
    assert means[250] == (250, pytest.approx(10 / 21))
    assert means[251] == (251, pytest.approx(11 / 21))
    assert means[0] == points[0] and means[-1] == points[-1]
    straight = [2.0 * step for step in range(200)]
    kept = [mean for _, mean in curve.smoothed(list(enumerate(straight)))]
    assert kept == pytest.approx(straight)


def test_a_long_line_keeps_its_end():
    points = [(step, 1.0) for step in range(10_001)]
    kept = axes.thinned(points)
    assert len(kept) <= 400 and kept[-1] == points[-1]
    assert axes.thinned([]) == []


@pytest.mark.parametrize(
    "bottom, top, expected",
    [
        (0, 2500, [0, 1000, 2000]),
        (1.8, 2.4, [1.8, 2.0, 2.2, 2.4]),
        (0.17, 0.63, [0.2, 0.4, 0.6]),
        (0, 8, [0, 2, 4, 6, 8]),
    ],
)
def test_ticks_are_round(bottom, top, expected):
    assert axes.ticks(bottom, top) == pytest.approx(expected)
