"""Which part a visit uses: by seed and visit alone, all parts in the end."""

import collections

import pytest

from mtssl_tf.data import visits
from mtssl_tf.motion import parts


def first_parts(num_visits, num_parts, num_clips=1, seed=0, name="a"):
    return [
        next(visits.part_numbers(visit, num_parts, num_clips, seed, name))
        for visit in range(num_visits)
    ]


def test_a_film_is_seen_at_several_places_and_evenly():
    chosen = first_parts(170 * parts.PART_FRAMES, 170)
    assert len(set(chosen[:32])) <= 2 * 8
    counts = collections.Counter(chosen)
    assert sorted(counts) == list(range(170))
    assert max(counts.values()) <= 2 * parts.PART_FRAMES
    assert min(counts.values()) >= parts.PART_FRAMES // 2


def test_one_of_many_clips_is_walked_through_at_one_place():
    chosen = first_parts(3 * parts.PART_FRAMES, 3, num_clips=20)
    changes = sum(a != b for a, b in zip(chosen, chosen[1:]))
    assert changes == 2
    assert set(chosen) == {0, 1, 2}


def test_new_parts_are_needed_one_at_a_time():
    chosen = first_parts(40 * parts.PART_FRAMES, 170)
    news = [n for n in range(1, len(chosen)) if chosen[n] not in chosen[:n]]
    gaps = [b - a for a, b in zip(news[8:], news[9:])]
    assert min(gaps) >= parts.PART_FRAMES // 2


def test_a_clip_of_one_part_has_no_choice():
    assert set(first_parts(100, 1)) == {0}


def test_seed_and_name_choose_the_place():
    begins = {
        first_parts(1, 1000, 20, seed, name)[0]
        for seed in (0, 1)
        for name in ("a", "b", "\udcff")
    }
    assert len(begins) == 6


@pytest.mark.parametrize("num_parts", [1, 2, 7, 12, 100, 169, 170])
def test_every_part_is_tried_before_a_clip_is_given_up(num_parts):
    tried = list(visits.part_numbers(5, num_parts, 1, 0, "a"))
    assert sorted(tried) == list(range(num_parts))
