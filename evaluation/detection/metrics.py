"""The figures of a VOC detection result, from detections to `metrics`."""

from __future__ import annotations

import dataclasses

from evaluation.detection import average_precision
from evaluation.detection import coco_average_precision
from evaluation.detection import scored_boxes
from evaluation.detection import voc_picture


@dataclasses.dataclass(frozen=True)
class DetectionScore:
    """Everything that scoring a test set gives.

    Attributes:
        metrics: for `result.json`, in percent.
        curves: class name -> precision and recall at overlap 0.5, of the
            classes that have objects.
    """

    metrics: dict
    curves: dict[str, average_precision.Curve]


def score_detections(
    truth: scored_boxes.GroundTruth, detections: scored_boxes.Detections
) -> DetectionScore:
    """Scores detections by VOC's and COCO's rules.

    A mean is over the classes that have an object that counts.
    """
    at_50, at_75 = {}, {}
    for index, name in enumerate(voc_picture.CLASSES):
        matches = average_precision.match_class(truth, detections, index)
        curve = matches.curve(0.5)
        if curve.num_objects:
            at_50[name] = curve
            at_75[name] = matches.curve(0.75)
    coco = coco_average_precision.coco_metrics(truth, detections)
    metrics = {
        "map_50": _mean(at_50, average_precision.eleven_point),
        "map_75": _mean(at_75, average_precision.eleven_point),
        "map_50_all_point": _mean(at_50, average_precision.all_point),
        "map_75_all_point": _mean(at_75, average_precision.all_point),
        "coco_ap": 100 * coco["AP"],
        "ap_50": _by_class(at_50),
        "ap_75": _by_class(at_75),
        "coco": {name: 100 * value for name, value in coco.items()},
    }
    return DetectionScore(metrics, at_50)


def _by_class(curves: dict[str, average_precision.Curve]) -> dict[str, float]:
    return {
        name: 100 * average_precision.eleven_point(curve)
        for name, curve in curves.items()
    }


def _mean(curves: dict[str, average_precision.Curve], rule) -> float:
    values = [rule(curve) for curve in curves.values()]
    return 100 * average_precision.mean_over_classes(values)


def as_table(metrics: dict) -> str:
    """Aligned text: the means, then a class a line."""
    lines = [
        f"{'mAP, 11-point':24}{'IoU 0.5':>10}{'IoU 0.75':>10}",
        f"{'':24}{metrics['map_50']:10.1f}{metrics['map_75']:10.1f}",
        f"{'mAP, all-point':24}{metrics['map_50_all_point']:10.1f}"
        f"{metrics['map_75_all_point']:10.1f}",
        f"{'COCO AP':24}{metrics['coco_ap']:10.1f}",
    ]
    lines += [
        f"  {name:22}{value:10.1f}{metrics['ap_75'][name]:10.1f}"
        for name, value in metrics["ap_50"].items()
    ]
    return "\n".join(lines)
