"""Box coordinates survive the whole way to the detector and back."""

import cv2
import numpy as np
import pytest

from evaluation.detection import batches as batches_lib
from evaluation.detection import boxes as box_form
from evaluation.detection import protocol as protocol_lib
from evaluation.detection import voc_data
from evaluation.detection import voc_picture


def _random_boxes(rng, height, width, count=20):
    """Boxes with area inside a picture."""
    edges = np.sort(rng.random((count, 2, 2)), axis=1)  # low and high
    edges = edges.reshape(count, 4) * [height, width, height, width]
    return np.clip(edges, 0, [height, width, height, width])


@pytest.mark.parametrize("seed", range(50))
def test_boxes_come_back_from_flip_scale_and_pad(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(16, 900, 2)
    short_side = int(rng.integers(32, 1200))
    size = box_form.fitted_size(height, width, short_side, 2 * short_side)
    placement = box_form.Placement(
        int(height), int(width), *size, is_flipped=bool(seed % 2)
    )
    original = _random_boxes(rng, height, width)
    moved = placement.to_canvas(original)
    assert np.all(moved >= -1e-9)
    assert np.all(moved <= np.array([*size, *size]) + 1e-9)
    assert np.all(moved[:, 2:] >= moved[:, :2])
    np.testing.assert_allclose(placement.to_picture(moved), original)


@pytest.mark.parametrize("is_flipped", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_pixels_and_boxes_move_together(seed, is_flipped):
    """A white rectangle is found again where its box says it went."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(60, 120, 2)
    y_min, x_min = rng.integers(0, 30, 2)
    y_max, x_max = y_min + rng.integers(10, 30), x_min + rng.integers(10, 30)
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[y_min:y_max, x_min:x_max] = 255
    placement = box_form.Placement(
        height, width, 3 * height, 4 * width, is_flipped
    )
    image = batches_lib.place_picture(rgb, placement)
    canvas = batches_lib.fit_on_canvas([image], 64, (0, 0, 0))[0]
    inside = np.argwhere(canvas[..., 0] > 127.5)
    found = [*inside.min(axis=0), *(inside.max(axis=0) + 1)]
    expected = placement.to_canvas(np.array([[y_min, x_min, y_max, x_max]]))
    np.testing.assert_allclose(found, expected[0])


def test_voc_and_coco_forms_come_back():
    rng = np.random.default_rng(0)
    original = _random_boxes(rng, 300, 400)
    np.testing.assert_allclose(
        box_form.from_voc(box_form.to_voc(original)), original
    )
    np.testing.assert_allclose(
        box_form.from_xywh(box_form.to_xywh(original)), original
    )


def test_vocs_first_pixel_has_area_one():
    box = box_form.from_voc(np.array([1, 1, 1, 1]))
    np.testing.assert_array_equal(box, [0, 0, 1, 1])
    assert box_form.areas(box) == 1


def test_overlap_by_hand():
    first = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 0, 0]])
    second = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 0, 0]])
    np.testing.assert_allclose(box_form.overlaps(first, second), [1 / 3, 0, 0])


@pytest.mark.parametrize(
    "size, expected",
    [
        ((375, 500), (600, 800)),  # the short side decides
        ((500, 375), (800, 600)),
        ((200, 500), (400, 1000)),  # the long side is bounded
        ((1, 5000), (1, 1000)),
    ],
)
def test_scaled_sizes(size, expected):
    assert box_form.fitted_size(*size, 600, 1000) == expected


@pytest.fixture(scope="module")
def pictures(shared_data):
    data = str(shared_data / "voc2012")
    return voc_data.load_split(data, "trainval", is_strict=True).pictures


@pytest.fixture(scope="module")
def protocol():
    return protocol_lib.VocDetectionProtocol(
        train_short_sides_px=(96, 160),
        train_long_side_px=256,
        batch_size=3,
        roi_samples=16,
    )


def _batches(pictures, protocol, seed=0):
    return batches_lib.TrainingBatches(
        pictures, protocol, (123.0, 116.0, 103.0), seed
    )


def test_training_boxes_come_back_to_the_annotated_ones(pictures, protocol):
    annotated = {(picture.height, picture.width): [] for picture in pictures}
    for picture in pictures:
        annotated[picture.height, picture.width].append(
            picture.boxes[~picture.is_difficult]
        )
    batches = _batches(pictures, protocol)
    flips = set()
    for step in range(8):
        batch = batches.at(step)
        for row, placement in enumerate(batch.placements):
            flips.add(placement.is_flipped)
            on_canvas = batch.boxes[row][batch.classes[row] > 0]
            found = placement.to_picture(on_canvas)
            candidates = annotated[placement.height, placement.width]
            assert any(
                len(found) == len(one) and np.allclose(found, one, atol=1e-3)
                for one in candidates
            )
    assert flips == {False, True}


def test_a_batch_follows_from_seed_and_step(pictures, protocol):
    first, again = _batches(pictures, protocol), _batches(pictures, protocol)
    resumed = list(again.from_step(5, 7))
    for batch, step in zip(resumed, (5, 6)):
        np.testing.assert_array_equal(batch.images, first.at(step).images)
        np.testing.assert_array_equal(batch.boxes, first.at(step).boxes)
    other = _batches(pictures, protocol, seed=1).at(5)
    assert other.placements != resumed[0].placements


def test_an_epoch_shows_every_picture_once(pictures, protocol):
    batches = _batches(pictures, protocol)
    names = [batches._in_order(number).name for number in range(len(batches))]
    assert len(set(names)) == len(batches)


def test_padding_has_the_colour_that_the_contract_maps_to_zero(
    pictures, protocol
):
    batch = _batches(pictures, protocol).at(0)
    assert batch.images.shape[1] % 64 == batch.images.shape[2] % 64 == 0
    height, width = batch.sizes[0].astype(int)
    for outside in (batch.images[0, height:], batch.images[0, :, width:]):
        np.testing.assert_array_equal(
            outside, np.broadcast_to([123.0, 116.0, 103.0], outside.shape)
        )


def test_only_difficult_objects_leave_nothing_to_learn(protocol):
    picture = voc_picture.Picture(
        "a",
        9,
        9,
        np.array([[0, 0, 5, 5.0]]),
        np.array([3]),
        np.array([True]),
        encoded=cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[
            1
        ].tobytes(),
    )
    with pytest.raises(ValueError, match="None of 1 pictures"):
        _batches([picture], protocol)
