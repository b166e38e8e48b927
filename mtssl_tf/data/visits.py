"""Which part of a clip a visit uses: a pure function of seed and visit.

Visit v of a clip is in its source's pass v. A clip is walked through in time,
and each part is used as often as it has frames before the next one's turn, so
that what a batch needs is made in time, and a film is not in every batch from
end to end. Where there are few clips, a clip is walked through at several
places at once: a batch of one film shows several of its places.

All *ours*: the paper takes single clips of some seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import math

from mtssl_tf.motion import parts

_PLACES = 8  # ours: places of all clips, together, that are used at a time


def part_numbers(
    visit: int, num_parts: int, num_clips: int, seed: int, name: str
) -> Iterator[int]:
    """Yields a clip's parts in the order in which a visit tries them.

    Args:
        visit: how often the clip had its turn before.
        num_parts: of the clip.
        num_clips: of the source.
        seed: the run's seed.
        name: the clip's.
    """
    num_places = min(max(-(-_PLACES // num_clips), 1), num_parts)
    place, turn = visit % num_places, visit // num_places
    # Places take turns to move on, so that parts are needed at even times.
    turn += place * parts.PART_FRAMES // num_places
    digest = hashlib.sha256(f"{seed}/{name}".encode(errors="replace")).digest()
    start = int.from_bytes(digest[:8], "big") + place * num_parts // num_places
    first = (start + turn // parts.PART_FRAMES) % num_parts
    # What follows an unusable part is likely to be unusable too.
    stride = _spreading_stride(num_parts)
    for attempt in range(num_parts):
        yield (first + attempt * stride) % num_parts


def _spreading_stride(count: int) -> int:
    """Returns a stride that reaches all of `count` places, far ones first."""
    stride = max(round(count * 0.618), 1)
    while math.gcd(stride, count) != 1:
        stride += 1
    return stride
