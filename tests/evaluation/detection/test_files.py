"""Files of detections: VOC's text form and COCO's JSON."""

import json
import re

import numpy as np
import pytest

from evaluation.detection import files
from evaluation.detection import scored_boxes

_NAMES = ["000005", "2008_000001"]


def _some():
    return scored_boxes.Detections(
        pictures=np.array([0, 0, 1]),
        classes=np.array([14, 6, 14]),
        boxes=np.array([[0, 0, 10, 20], [1.5, 2.25, 30, 40], [5, 6, 7, 8.125]]),
        scores=np.array([0.75, 0.5, 0.25]),
    )


def _assert_same(found, expected):
    order = np.argsort(-found.scores)
    for name in ("pictures", "classes", "boxes", "scores"):
        np.testing.assert_allclose(
            getattr(found, name)[order], getattr(expected, name), atol=1e-3
        )


def test_json_comes_back(tmp_path):
    path = tmp_path / "found.json"
    files.save_json(path, _some(), _NAMES)
    _assert_same(files.load_detections(path, _NAMES), _some())


def test_voc_text_comes_back(tmp_path):
    files.save_voc_text(tmp_path, "test", _some(), _NAMES)
    _assert_same(files.load_detections(tmp_path, _NAMES), _some())
    lines = (tmp_path / "comp4_det_test_car.txt").read_text()
    # x_min and y_min first, counted from 1
    assert lines == "000005 0.500000 3.250 2.500 40.000 30.000\n"


def test_one_class_can_be_read_alone(tmp_path):
    files.save_voc_text(tmp_path, "test", _some(), _NAMES)
    found = files.load_detections(
        tmp_path / "comp4_det_test_person.txt", _NAMES
    )
    np.testing.assert_array_equal(found.classes, [14, 14])


def test_two_files_of_one_class_are_not_added_together(tmp_path):
    files.save_voc_text(tmp_path, "test", _some(), _NAMES)
    (tmp_path / "comp3_det_test_dog.txt").write_text("")
    with pytest.raises(ValueError, match="comp3_.*comp4_.*of class 'dog'"):
        files.load_detections(tmp_path, _NAMES)


def test_json_by_number_is_the_same(tmp_path):
    path = tmp_path / "found.json"
    record = {"image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4]}
    path.write_text(json.dumps([{**record, "score": 0.5}]))
    found = files.load_detections(path, _NAMES)
    assert (found.pictures[0], found.classes[0]) == (0, 0)
    np.testing.assert_array_equal(found.boxes, [[2, 1, 6, 4]])


def test_an_empty_list_is_no_detection(tmp_path):
    path = tmp_path / "found.json"
    path.write_text("[]")
    found = files.load_detections(path, _NAMES)
    assert found.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"category_id": 21}, "record 1.*21"),
        ({"category_name": "unicorn"}, "record 1.*unicorn"),
        ({"bbox": [1, 2, 3]}, r"record 1.*\[1, 2, 3\]"),
        ({"bbox": [1, 2, 3, "wide"]}, "record 1.*wide"),
        ({"score": None}, "record 1.*None"),
        ({"score": float("nan")}, "record 1.*nan"),
        ({"score": 10**400}, "record 1.*too large"),
        ({"category_id": float("inf")}, "record 1.*inf is not one of 1 to 20"),
        ({"category_id": 1.7}, "record 1.*1.7 is not one of 1 to 20"),
        ({"image_id": "999999"}, "record 1.*'999999' is not in the split"),
    ],
)
def test_a_wrong_json_record_is_named(tmp_path, change, said):
    right = {
        "image_id": "000005",
        "category_id": 1,
        "bbox": [1, 2, 3, 4],
        "score": 1,
    }
    path = tmp_path / "found.json"
    path.write_text(json.dumps([right, {**right, **change}]))
    with pytest.raises(ValueError, match=said):
        files.load_detections(path, _NAMES)


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "", "[" * 100_000])
def test_a_json_file_must_hold_a_list(tmp_path, text):
    path = tmp_path / "found.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        files.load_detections(path, _NAMES)


@pytest.mark.parametrize(
    "line, said",
    [
        ("000005 0.5 1 2 3", "line 2.*'000005 0.5 1 2 3'"),
        ("000005 0.5 1 2 3 x", "line 2.*x'"),
        ("000006 0.5 1 2 3 4", "line 2: picture '000006'"),
    ],
)
def test_a_wrong_text_line_is_named(tmp_path, line, said):
    path = tmp_path / "comp4_det_test_car.txt"
    path.write_text(f"000005 0.5 1 2 3 4\n{line}\n")
    with pytest.raises(ValueError, match=said):
        files.load_detections(path, _NAMES)


def test_a_huge_record_fills_no_screen(tmp_path):
    path = tmp_path / "found.json"
    path.write_text(json.dumps([{"image_id": "x" * 10_000}]))
    with pytest.raises(ValueError) as refusal:
        files.load_detections(path, _NAMES)
    assert len(str(refusal.value)) < 1000


def test_hidden_files_beside_the_texts_are_left_out(tmp_path):
    files.save_voc_text(tmp_path, "test", _some(), _NAMES)
    (tmp_path / "._comp4_det_test_car.txt").write_bytes(b"\0AppleDouble\xff")
    _assert_same(files.load_detections(tmp_path, _NAMES), _some())


def test_a_file_of_no_class_and_a_missing_one_are_named(tmp_path):
    path = tmp_path / "comp4_det_test_unicorn.txt"
    path.write_text("")
    with pytest.raises(ValueError, match="'unicorn'"):
        files.load_detections(path, _NAMES)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        files.load_detections(tmp_path / "nowhere", _NAMES)
