"""VOC's and COCO's average precision against published values, hand-computed
cases and independent packages."""

import dataclasses
import json
import time

import mean_average_precision
import numpy as np
from pycocotools import coco
from pycocotools import cocoeval
import pytest

from evaluation.detection import average_precision
from evaluation.detection import boxes as box_form
from evaluation.detection import coco_average_precision
from evaluation.detection import metrics as metrics_lib
from evaluation.detection import scored_boxes
from evaluation.detection import voc_annotation


def _truth(rows):
    """Rows of picture, class, y_min, x_min, y_max, x_max, is_ignored."""
    table = np.reshape(np.array(rows, np.float64), (-1, 7))
    return scored_boxes.GroundTruth(
        table[:, 0].astype(int),
        table[:, 1].astype(int),
        table[:, 2:6],
        table[:, 6].astype(bool),
    )


def _found(rows):
    """Rows of picture, class, y_min, x_min, y_max, x_max, score."""
    table = np.reshape(np.array(rows, np.float64), (-1, 7))
    return scored_boxes.Detections(
        table[:, 0].astype(int),
        table[:, 1].astype(int),
        table[:, 2:6],
        table[:, 6],
    )


def _curve(truth, found, threshold=0.5):
    return average_precision.match_class(truth, found, 0).curve(threshold)


def _inclusive(x, y, width, height):
    """The references give corners x, y, x + width, y + height, inclusive."""
    return [y, x, y + height + 1, x + width + 1]


def _read_txt_folder(folder, has_scores):
    rows = []
    for picture, file in enumerate(sorted(folder.glob("*.txt"))):
        for line in file.read_text().splitlines():
            numbers = list(map(float, line.split()[1:]))
            last = numbers.pop(0) if has_scores else 0
            rows.append([picture, 0, *_inclusive(*numbers), last])
    return rows


@pytest.fixture(scope="module")
def reference(shared_data):
    return shared_data / "reference"


@pytest.fixture(scope="module")
def expected(reference):
    return json.loads((reference / "expected_values.json").read_text())


@pytest.mark.parametrize("threshold", ["0.1", "0.3", "0.5", "0.75"])
def test_published_values_of_one_class(reference, expected, threshold):
    folder = reference / "voc_eval" / "rodm_test_case_1"
    curve = _curve(
        _truth(_read_txt_folder(folder / "gts", False)),
        _found(_read_txt_folder(folder / "dets", True)),
        float(threshold),
    )
    published = expected["rodm_test_case_1 (one class)"]
    assert average_precision.eleven_point(curve) == pytest.approx(
        published["AP_11pt"][threshold], abs=1e-10
    )
    assert average_precision.all_point(curve) == pytest.approx(
        published["AP_allpt"][threshold], abs=1e-10
    )


def test_published_values_of_the_printed_example(reference, expected):
    folder = reference / "voc_eval" / "odm_sample_2"
    curve = _curve(
        _truth(_read_txt_folder(folder / "groundtruths", False)),
        _found(_read_txt_folder(folder / "detections", True)),
        0.3,
    )
    published = expected["odm_sample_2 (one class, IoU>=0.3)"]
    eleven = average_precision.eleven_point(curve)
    assert round(eleven, 4) == published["AP_11pt"]
    # The page adds up rounded steps: 0.2456, where the exact sum is 0.24569.
    assert average_precision.all_point(curve) == pytest.approx(
        published["AP_allpt"], abs=1e-4
    )


@pytest.mark.parametrize("threshold", ["0.5", "0.75"])
def test_published_values_of_real_pictures(reference, expected, threshold):
    folder = reference / "voc_eval" / "rodm_toyexample"
    names = sorted(
        file.stem for file in (folder / "gts_vocpascal_format").glob("*.xml")
    )
    truth, found = [], []
    for picture, name in enumerate(names):
        file = folder / "gts_vocpascal_format" / f"{name}.xml"
        for one in voc_annotation.load_objects(file):
            if one.name == "cat":
                box = box_form.from_voc(np.array(one.corners))
                truth.append([picture, 0, *box, one.is_difficult])
        file = folder / "dets_classname_abs_xyx2y2" / f"{name}.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        for line in lines:
            class_name, *numbers = line.split()
            if class_name == "cat":
                score, *corners = map(float, numbers)
                box = box_form.from_voc(np.array(corners))
                found.append([picture, 0, *box, score])
    curve = _curve(_truth(truth), _found(found), float(threshold))
    published = expected["rodm_toyexample (class cat)"][threshold]
    assert (
        round(average_precision.eleven_point(curve), 4)
        == (published["AP_11pt"])
    )
    assert (
        round(average_precision.all_point(curve), 4) == (published["AP_allpt"])
    )


def test_published_values_of_coco(reference, expected):
    folder = reference / "coco_eval" / "rodm_test_coco_eval"
    truth = json.loads((folder / "gts/sampled_gts_bbox_area.json").read_text())
    found = json.loads((folder / "dets/sampled_bbox_results.json").read_text())
    metrics = coco_average_precision.coco_metrics(
        _truth(
            [
                [
                    one["image_id"],
                    one["category_id"],
                    *box_form.from_xywh(one["bbox"]),
                    0,
                ]
                for one in truth["annotations"]
            ]
        ),
        _found(
            [
                [
                    one["image_id"],
                    one["category_id"],
                    *box_form.from_xywh(one["bbox"]),
                    one["score"],
                ]
                for one in found["annotations"]
            ]
        ),
    )
    published = dict(expected["rodm_test_coco_eval"])
    del published["source"]
    assert {name: round(metrics[name], 6) for name in published} == published


def _random_scene(seed, num_pictures=20, num_classes=3, num_found=30):
    """Objects, and detections that are objects moved a little or noise."""
    rng = np.random.default_rng(seed)

    def random_boxes(count):
        corner = rng.integers(0, 150, (count, 2))
        return np.concatenate(
            [corner, corner + rng.integers(8, 150, (count, 2))], axis=1
        )

    truth, found = [], []
    for picture in range(num_pictures):
        objects = random_boxes(rng.integers(0, 7))
        classes = rng.integers(0, num_classes, len(objects))
        for box, index in zip(objects, classes):
            truth.append([picture, index, *box, 0])
        for _ in range(num_found):
            if len(objects) and rng.random() < 0.7:
                number = rng.integers(len(objects))
                box = objects[number] + rng.integers(-9, 10, 4)
                index = classes[number]
            else:
                box = random_boxes(1)[0]
                index = rng.integers(0, num_classes)
            box[2:] = np.maximum(box[2:], box[:2] + 1)
            found.append([picture, index, *box, rng.random()])
    return _truth(truth), _found(found)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_an_independent_voc_evaluator(seed):
    truth, found = _random_scene(seed)
    theirs = mean_average_precision.MetricBuilder.build_evaluation_metric(
        "map_2d", async_mode=False, num_classes=3
    )
    for picture in range(20):
        mine = truth.pictures == picture
        # x_min, y_min, x_max, y_max, both ends inclusive
        corners = box_form.to_voc(truth.boxes[mine])
        extra = np.zeros((len(corners), 2))  # difficult, crowd
        objects = np.column_stack([corners, truth.classes[mine], extra])
        mine = found.pictures == picture
        detections = np.column_stack(
            [
                box_form.to_voc(found.boxes[mine]),
                found.classes[mine],
                found.scores[mine],
            ]
        )
        theirs.add(detections, objects)
    # Theirs wants an overlap above the threshold, VOC one that reaches it.
    for threshold in (0.5 + 1e-9, 0.75 + 1e-9):
        for rule, levels in (
            (average_precision.all_point, None),
            (average_precision.eleven_point, np.linspace(0, 1, 11)),
        ):
            values = theirs.value(threshold, recall_thresholds=levels)
            for index in range(3):
                matches = average_precision.match_class(truth, found, index)
                assert rule(matches.curve(threshold)) == pytest.approx(
                    values[threshold][index]["ap"], abs=1e-6
                )


class _CocoEvalWithIgnored(cocoeval.COCOeval):
    """COCO's evaluator, where objects other than crowds can be ignored."""

    def _prepare(self):
        super()._prepare()
        for objects in self._gts.values():
            for one in objects:
                one["ignore"] = one["is_ignored"]


def _pycocotools_metrics(truth, found):
    annotations = [
        {
            "id": number + 1,
            "image_id": int(picture),
            "category_id": int(index),
            "bbox": list(map(float, box)),
            "area": float(box[2] * box[3]),
            "iscrowd": 0,
            "is_ignored": bool(truth.is_ignored[number]),
        }
        for number, (picture, index, box) in enumerate(
            zip(truth.pictures, truth.classes, box_form.to_xywh(truth.boxes))
        )
    ]
    reference = coco.COCO()
    reference.dataset = {
        "info": {},
        "images": [{"id": number} for number in range(20)],
        "categories": [{"id": number} for number in range(3)],
        "annotations": annotations,
    }
    reference.createIndex()
    results = reference.loadRes(
        np.column_stack(
            [
                found.pictures,
                box_form.to_xywh(found.boxes),
                found.scores,
                found.classes,
            ]
        )
    )
    evaluation = _CocoEvalWithIgnored(reference, results, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share_ignored", [0.0, 0.3])
def test_agrees_with_cocos_own_evaluator(seed, share_ignored, capsys):
    truth, found = _random_scene(seed)
    random = np.random.default_rng(seed)
    truth = dataclasses.replace(
        truth, is_ignored=random.random(len(truth.classes)) < share_ignored
    )
    theirs = _pycocotools_metrics(truth, found)
    capsys.readouterr()
    ours = coco_average_precision.coco_metrics(truth, found)
    np.testing.assert_allclose(list(ours.values()), theirs, atol=1e-9)


def test_a_duplicate_is_false_even_where_another_object_is_near():
    truth = _truth([[0, 0, 0, 0, 10, 10, 0], [0, 0, 0, 3, 10, 13, 0]])
    found = _found([[0, 0, 0, 0, 10, 10, 0.9], [0, 0, 0, 0.5, 10, 10.5, 0.8]])
    curve = _curve(truth, found)
    np.testing.assert_allclose(curve.precision, [1, 0.5])
    np.testing.assert_allclose(curve.recall, [0.5, 0.5])
    assert average_precision.all_point(curve) == pytest.approx(0.5)
    # Recalls 0 to 0.5 see precision 1, the other five nothing.
    assert average_precision.eleven_point(curve) == pytest.approx(6 / 11)


def test_difficult_objects_count_neither_way():
    truth = _truth([[0, 0, 0, 0, 10, 10, 1], [0, 0, 50, 50, 60, 60, 0]])
    found = _found(
        [
            [0, 0, 0, 0, 10, 10, 0.9],
            [0, 0, 0, 0, 10, 10, 0.8],
            [0, 0, 50, 50, 60, 60, 0.7],
        ]
    )
    curve = _curve(truth, found)
    assert curve.num_objects == 1
    np.testing.assert_allclose(curve.precision, [1])
    assert average_precision.all_point(curve) == 1


def test_a_class_without_objects_has_no_average_precision():
    truth = _truth([[0, 0, 0, 0, 10, 10, 1]])
    curve = _curve(truth, _found([[0, 0, 0, 0, 10, 10, 0.9]]))
    assert np.isnan(average_precision.eleven_point(curve))
    assert np.isnan(average_precision.all_point(curve))
    assert average_precision.mean_over_classes([float("nan"), 0.5]) == 0.5


def test_nothing_found_scores_zero():
    truth = _truth([[0, 0, 0, 0, 10, 10, 0]])
    metrics = metrics_lib.score_detections(truth, _found([])).metrics
    assert metrics["map_50"] == metrics["coco_ap"] == 0


def test_perfect_detections_score_one_hundred():
    truth, _ = _random_scene(0)
    found = scored_boxes.Detections(
        truth.pictures, truth.classes, truth.boxes, np.ones(len(truth.classes))
    )
    metrics = metrics_lib.score_detections(truth, found).metrics
    for name in ("map_50", "map_75", "map_50_all_point", "coco_ap"):
        assert metrics[name] == pytest.approx(100)
    assert set(metrics["ap_50"]) == {"aeroplane", "bicycle", "bird"}


@pytest.mark.long
def test_scores_a_set_of_voc_2007s_size_in_half_a_minute():
    truth, found = _random_scene(
        0, num_pictures=4952, num_classes=20, num_found=100
    )
    assert len(found.scores) == 495200
    start = time.process_time()
    metrics = metrics_lib.score_detections(truth, found).metrics
    assert time.process_time() - start < 30
    assert 0 < metrics["map_50"] < 100
