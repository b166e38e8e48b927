"""Files of detections: VOC's text form and COCO's JSON, read and written.

Text: one file a class whose name ends in `_CLASS.txt`, such as
`comp4_det_test_car.txt`, with lines `ID SCORE X_MIN Y_MIN X_MAX Y_MAX`, pixel
indices from 1, both ends inclusive. JSON: a list of records with `image_id`
(VOC's id), `category_id` (1 for aeroplane to 20 for tvmonitor) or
`category_name`, `bbox` [x, y, width, height] in pixels from 0, and `score`.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
import math
import pathlib

import numpy as np

from evaluation.detection import boxes as box_form
from evaluation.detection import scored_boxes
from evaluation.detection import voc_picture
from mtssl_tf.files import json_file
from mtssl_tf.files import walk
from mtssl_tf.files import whole_file

_VOC2007_ID_DIGITS = 6
_MAX_BYTES = 2**30  # ours: of one class's text


def load_detections(
    path: pathlib.Path, picture_names: Sequence[str]
) -> scored_boxes.Detections:
    """Reads detections on the pictures of a split.

    Args:
        path: a JSON file, a text file of one class, or a folder of such text
            files.
        picture_names: ids of the split, in its order.

    Raises:
        FileNotFoundError: there is no such file, or no text file in the
            folder.
        ValueError: a record cannot be read, or names a picture that the split
            does not have; says where.
    """
    numbers = {name: number for number, name in enumerate(picture_names)}
    if path.suffix.lower() == ".json":
        return _load_json(path, numbers)
    files = [path]
    if path.is_dir():
        found = walk.files_in(path, (".txt",))
        paths = [pathlib.Path(name) for name in found.files]
        files = [file for file in paths if "_" in file.name]
    if not files or not path.exists():
        raise FileNotFoundError(
            f"No detections at {path}: expected a .json file, or text files "
            "named like comp4_det_test_car.txt."
        )
    by_class: dict[str, pathlib.Path] = {}
    for file in files:
        other = by_class.setdefault(_class_name(file), file)
        if other != file:
            raise ValueError(
                f"{other} and {file} are both of class "
                f"{_class_name(file)!r}. Name a folder with one file a class."
            )
    return scored_boxes.join_detections(
        [_load_text(file, numbers) for file in files]
    )


def save_json(
    path: pathlib.Path,
    detections: scored_boxes.Detections,
    picture_names: Sequence[str],
) -> None:
    """Writes detections as COCO's list of results."""
    records = [
        {
            "image_id": picture_names[picture],
            "category_id": int(index) + 1,
            "category_name": voc_picture.CLASSES[index],
            "bbox": [round(float(number), 3) for number in box],
            "score": float(score),
        }
        for picture, index, box, score in zip(
            detections.pictures,
            detections.classes,
            box_form.to_xywh(detections.boxes),
            detections.scores,
        )
    ]
    lines = ",\n".join(json.dumps(record) for record in records)
    path.write_text(f"[\n{lines}\n]\n")


def save_voc_text(
    folder: pathlib.Path,
    split: str,
    detections: scored_boxes.Detections,
    picture_names: Sequence[str],
) -> None:
    """Writes one text file a class, as VOC's development kit reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(voc_picture.CLASSES):
        found = detections.of_class(index)
        lines = [
            f"{picture_names[picture]} {score:.6f} "
            + " ".join(f"{number:.3f}" for number in corners)
            for picture, score, corners in zip(
                found.pictures, found.scores, box_form.to_voc(found.boxes)
            )
        ]
        text = "".join(f"{line}\n" for line in lines)
        (folder / f"comp4_det_{split}_{name}.txt").write_text(text)


def _class_name(file: pathlib.Path) -> str:
    return file.stem.rsplit("_", 1)[-1]


def _load_text(
    file: pathlib.Path, numbers: dict[str, int]
) -> scored_boxes.Detections:
    name = _class_name(file)
    if name not in voc_picture.CLASSES:
        raise ValueError(
            f"{file} should end in _CLASS.txt with a class of VOC; got "
            f"{name!r}. Known: {', '.join(voc_picture.CLASSES)}."
        )
    pictures, rows = [], []
    text = whole_file.load(file, _MAX_BYTES).decode(errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        place = f"{file}, line {number}"
        words = line.split()
        try:
            values = [float(word) for word in words[1:]]
        except ValueError:
            values = []
        if len(values) != 5 or not all(map(math.isfinite, values)):
            raise ValueError(
                f"{place}: expected ID SCORE X_MIN Y_MIN X_MAX Y_MAX, got "
                f"{line!r}."
            )
        pictures.append(_picture_number(words[0], numbers, place))
        rows.append(values)
    table = np.reshape(np.array(rows, np.float64), (-1, 5))
    return scored_boxes.Detections(
        pictures=np.array(pictures, np.int64),
        classes=np.full(len(rows), voc_picture.CLASSES.index(name)),
        boxes=box_form.from_voc(table[:, 1:]),
        scores=table[:, 0],
    )


def _load_json(
    file: pathlib.Path, numbers: dict[str, int]
) -> scored_boxes.Detections:
    records = json_file.load(file)
    if not isinstance(records, list):
        raise ValueError(
            f"{file} should hold a list of detections, got "
            f"{type(records).__name__}."
        )
    pictures, classes, rows = [], [], []
    for index, record in enumerate(records):
        place = f"{file}, record {index}"
        try:
            row = [*map(float, record["bbox"]), float(record["score"])]
            picture = record["image_id"]
            class_index = _class_index(record)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"{place}: expected image_id, category_id or category_name, "
                f"bbox and score, got {_start(record)} ({error!r})."
            ) from error
        if len(row) != 5 or not all(map(math.isfinite, row)):
            raise ValueError(
                f"{place}: expected four numbers in bbox and one in score, "
                f"got {_start(record)}."
            )
        pictures.append(_picture_number(picture, numbers, place))
        classes.append(class_index)
        rows.append(row)
    table = np.reshape(np.array(rows, np.float64), (-1, 5))
    return scored_boxes.Detections(
        pictures=np.array(pictures, np.int64),
        classes=np.array(classes, np.int64),
        boxes=box_form.from_xywh(table[:, :4]),
        scores=table[:, 4],
    )


def _start(record: object) -> str:
    """Shows a record, or the start of one that would fill the screen."""
    return f"{record!r:.200}"


def _class_index(record: dict) -> int:
    """0-based class of a record; the name has the last word."""
    if "category_name" in record:
        return voc_picture.CLASSES.index(record["category_name"])
    number = record["category_id"]
    if number not in range(1, len(voc_picture.CLASSES) + 1):
        raise ValueError(f"category_id {number!r} is not one of 1 to 20")
    return int(number) - 1


def _picture_number(
    name: str | int, numbers: dict[str, int], place: str
) -> int:
    """The picture's place in the split; 5 may stand for '000005'."""
    for candidate in (str(name), str(name).zfill(_VOC2007_ID_DIGITS)):
        if candidate in numbers:
            return numbers[candidate]
    raise ValueError(
        f"{place}: picture {name!r} is not in the split that --test names."
    )
