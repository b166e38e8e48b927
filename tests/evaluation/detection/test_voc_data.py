"""Reading VOC: the devkit, TFDS, and what can be wrong with them."""

import os
import pathlib
import shutil
import struct

import cv2
import numpy as np
import pytest

from evaluation.detection import voc_annotation
from evaluation.detection import voc_data
from evaluation.detection import voc_picture

_OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>
</object>"""


def _xml_object(*corners, name="cat", difficult=0):
    return _OBJECT.format(*corners, name=name, difficult=difficult)


def _write_devkit(folder: pathlib.Path, objects_by_name, size=(40, 60)):
    """A devkit of noise pictures of a height and width, split 'all'."""
    for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, objects in objects_by_name.items():
        picture = rng.integers(0, 255, (*size, 3), np.uint8)
        cv2.imwrite(str(folder / "JPEGImages" / f"{name}.jpg"), picture)
        text = f"<annotation>{''.join(objects)}</annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(text)
    names = "\n".join(objects_by_name)
    (folder / "ImageSets" / "Main" / "all.txt").write_text(f"{names}\n")
    return str(folder)


def test_reads_the_real_devkit(shared_data):
    split = voc_data.load_split(
        str(shared_data / "voc2012"), "trainval", is_strict=True
    )
    assert len(split.pictures) == 74
    assert split.skipped == {}
    first = split.pictures[0]
    assert (first.name, first.height, first.width) == ("2007_000027", 500, 486)
    # The file says 174, 101, 349, 351, counted from 1.
    np.testing.assert_array_equal(first.boxes, [[100, 173, 351, 349]])
    assert voc_picture.CLASSES[first.classes[0]] == "person"
    assert first.load_rgb().shape == (500, 486, 3)
    truth = split.ground_truth()
    assert len(truth.classes) == 172
    assert split.describe()["difficult"] == truth.is_ignored.sum()


def test_the_real_boxes_lie_inside_and_cover_whole_pictures(shared_data):
    split = voc_data.load_split(
        str(shared_data / "voc2012"), "trainval", is_strict=True
    )
    for picture in split.pictures:
        limits = [picture.height, picture.width] * 2
        assert np.all(picture.boxes >= 0)
        assert np.all(picture.boxes <= limits)


def test_a_box_of_all_pixels_is_the_whole_picture(tmp_path):
    data = _write_devkit(tmp_path, {"a": [_xml_object(1, 1, 60, 40)]})
    picture = voc_data.load_split(data, "all", True).pictures[0]
    np.testing.assert_array_equal(picture.boxes, [[0, 0, 40, 60]])


def test_difficult_objects_are_marked(tmp_path):
    objects = [_xml_object(1, 1, 9, 9, difficult=1), _xml_object(2, 2, 8, 8)]
    data = _write_devkit(tmp_path, {"a": objects})
    picture = voc_data.load_split(data, "all", True).pictures[0]
    np.testing.assert_array_equal(picture.is_difficult, [True, False])


@pytest.mark.parametrize(
    "wrong, kind, said",
    [
        (
            _xml_object(0, 5, 20, 20),
            "objects outside the picture",
            r"\(0\.0, 5\.0, 20\.0, 20\.0\); expected 1 to 60 and 1 to 40",
        ),
        (
            _xml_object(5, 5, 61, 20),
            "objects outside the picture",
            "61",
        ),
        (_xml_object(5, 9, 20, 8), "objects without area", r"\(5\.0, 9\.0"),
        (
            _xml_object(5, 5, 20, 20, name="unicorn"),
            "objects of unknown class",
            "'unicorn'",
        ),
    ],
)
def test_a_wrong_object_stops_or_is_counted(tmp_path, wrong, kind, said):
    data = _write_devkit(tmp_path, {"a": [wrong, _xml_object(1, 1, 9, 9)]})
    with pytest.raises(ValueError, match=said):
        voc_data.load_split(data, "all", is_strict=True)
    split = voc_data.load_split(data, "all", is_strict=False)
    assert split.skipped == {kind: 1}
    assert len(split.pictures[0].classes) == 1


def _break_picture(folder):
    (folder / "JPEGImages" / "b.jpg").unlink()


def _garble_picture(folder):
    (folder / "JPEGImages" / "b.jpg").write_bytes(b"not a picture")


def _break_annotation(folder):
    (folder / "Annotations" / "b.xml").unlink()


def _truncate_annotation(folder):
    (folder / "Annotations" / "b.xml").write_text("<annotation><object>")


def _unnumber_annotation(folder):
    text = f"<annotation>{_xml_object(1, 'two', 9, 9)}</annotation>"
    (folder / "Annotations" / "b.xml").write_text(text)


def _escape_folder(folder):
    with (folder / "ImageSets" / "Main" / "all.txt").open("a") as file:
        file.write("../../secret\n")


@pytest.mark.parametrize(
    "damage, kind, said",
    [
        (_break_picture, "missing pictures", "b.jpg"),
        (
            _garble_picture,
            "unreadable entries",
            "b: Its picture cannot be used",
        ),
        (_break_annotation, "entries without annotation", "b.xml"),
        (_truncate_annotation, "unreadable entries", "b.xml is not"),
        (_unnumber_annotation, "unreadable entries", "'two'"),
        (_escape_folder, "entries that are no id", "'../../secret'"),
    ],
)
def test_a_wrong_entry_stops_or_is_counted(tmp_path, damage, kind, said):
    good = [_xml_object(1, 1, 9, 9)]
    data = _write_devkit(tmp_path, {"a": good, "b": good})
    damage(tmp_path)
    with pytest.raises(ValueError, match=said):
        voc_data.load_split(data, "all", is_strict=True)
    split = voc_data.load_split(data, "all", is_strict=False)
    assert split.skipped == {kind: 1}
    assert "a" in [picture.name for picture in split.pictures]


def test_entities_are_not_expanded(tmp_path):
    laughs = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)
    )
    path = tmp_path / "bomb.xml"
    path.write_text(
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{laughs}]>'
        "<annotation><object><name>&l9;</name></object></annotation>"
    )
    with pytest.raises(ValueError, match="bomb.xml declares"):
        voc_annotation.load_objects(path)


def test_external_files_are_not_read(tmp_path):
    (tmp_path / "secret.txt").write_text("cat")
    path = tmp_path / "outside.xml"
    path.write_text(
        '<!DOCTYPE a [<!ENTITY s SYSTEM "secret.txt">]>'
        "<annotation><object><name>&s;</name></object></annotation>"
    )
    with pytest.raises(ValueError, match="outside.xml declares"):
        voc_annotation.load_objects(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<a>" * 100_000, "bad.xml is not well-formed"),
        ('<?xml version="1.0" encoding="klingon"?><a/>', "bad.xml.*encoding"),
        ("", "bad.xml is not well-formed"),
    ],
)
def test_what_is_no_annotation_is_named(tmp_path, text, said):
    path = tmp_path / "bad.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        voc_annotation.load_objects(path)


@pytest.mark.parametrize(
    "text",
    [
        "<a>" * 100_000 + "</a>" * 100_000,
        "<html><body><object/></body></html>",
        "<annotation><shape/></annotation>",
    ],
)
def test_well_formed_xml_of_something_else_is_no_empty_picture(tmp_path, text):
    path = tmp_path / "page.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"page\.xml: expected <annotation>"):
        voc_annotation.load_objects(path)


@pytest.mark.parametrize(
    "start, end",
    [
        ('<annotation xmlns="http://host/voc">', "</annotation>"),
        ("<ANNOTATION>", "</ANNOTATION>"),
    ],
)
def test_other_spellings_of_an_annotation_keep_their_objects(
    tmp_path, start, end
):
    path = tmp_path / "a.xml"
    text = _xml_object(1, 1, 9, 9, difficult="True")
    path.write_text(start + text.replace("object>", "Object>") + end)
    (found,) = voc_annotation.load_objects(path)
    assert found.is_difficult and found.corners == (1, 1, 9, 9)


@pytest.mark.parametrize(
    "corners, difficult, said",
    [
        (("0_12", 1, 9, 9), 0, "'0_12'"),
        ((1, 1, 9, 9), "maybe", "object/difficult, got 'maybe'"),
    ],
)
def test_values_that_mean_something_else_are_named(
    tmp_path, corners, difficult, said
):
    path = tmp_path / "a.xml"
    text = _xml_object(*corners, difficult=difficult)
    path.write_text(f"<annotation>{text}</annotation>")
    with pytest.raises(ValueError, match=said):
        voc_annotation.load_objects(path)


def test_annotations_of_megabytes_are_not_parsed(tmp_path):
    path = tmp_path / "a.xml"
    with path.open("wb") as file:
        file.truncate(2**24 + 1)
    with pytest.raises(ValueError, match="16777217 bytes"):
        voc_annotation.load_objects(path)


def test_a_split_without_an_object_is_an_error(tmp_path):
    # Its score would be nan, and the exit code 0.
    objects = {
        "a": ["<filename>a.jpg</filename>"],
        "b": [_xml_object(1, 1, 9, 9, difficult=1)],
    }
    data = _write_devkit(tmp_path, objects)
    with pytest.raises(ValueError, match="'all' has 2 pictures and no object"):
        voc_data.load_split(data, "all", is_strict=False)


def test_a_list_with_a_byte_order_mark_keeps_its_first_id(tmp_path):
    good = [_xml_object(1, 1, 9, 9)]
    data = _write_devkit(tmp_path, {"a": good, "b": good})
    path = tmp_path / "ImageSets" / "Main" / "all.txt"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    split = voc_data.load_split(data, "all", is_strict=True)
    assert [picture.name for picture in split.pictures] == ["a", "b"]


def test_pictures_whose_rest_is_gone_are_found_before_they_are_used(tmp_path):
    # A kind of fault: the head is whole, so that only a decoder sees it.
    good = [_xml_object(1, 1, 9, 9)]
    data = _write_devkit(tmp_path, {"a": good, "b": good, "c": good})
    path = tmp_path / "JPEGImages" / "b.jpg"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    split = voc_data.load_split(data, "all", is_strict=True)
    with pytest.raises(
        ValueError, match="Picture b cannot.*leave out --strict"
    ):
        voc_data.with_whole_pictures(split, is_strict=True)
    whole = voc_data.with_whole_pictures(split, is_strict=False)
    assert [picture.name for picture in whole.pictures] == ["a", "c"]
    assert whole.skipped == {"broken pictures": 1}


def test_pipes_and_pictures_of_gigabytes_are_skipped_and_counted(tmp_path):
    names = ("a", "pipe", "huge", "strip")
    data = _write_devkit(
        tmp_path, {name: [_xml_object(1, 1, 9, 9)] for name in names}
    )
    folder = tmp_path / "JPEGImages"
    (folder / "pipe.jpg").unlink()
    os.mkfifo(folder / "pipe.jpg")
    head = struct.pack(">HBHHB", 17, 8, 60_000, 60_000, 3)
    (folder / "huge.jpg").write_bytes(b"\xff\xd8\xff\xc0" + head)
    cv2.imwrite(str(folder / "strip.jpg"), np.zeros((8, 6000), np.uint8))
    split = voc_data.load_split(data, "all", is_strict=False)
    assert [picture.name for picture in split.pictures] == ["a"]
    assert split.skipped == {"missing pictures": 1, "unreadable entries": 2}
    with pytest.raises(ValueError, match="huge: .* claims 60000x60000"):
        (folder / "pipe.jpg").unlink()
        shutil.copy(folder / "a.jpg", folder / "pipe.jpg")
        voc_data.load_split(data, "all", is_strict=True)


def test_a_picture_of_another_size_than_listed_is_an_error(tmp_path):
    data = _write_devkit(tmp_path, {"a": [_xml_object(1, 1, 9, 9)]})
    picture = voc_data.load_split(data, "all", True).pictures[0]
    cv2.imwrite(str(picture.file), np.zeros((9, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"\(40, 60\); got \(9, 8\)"):
        picture.load_rgb()


def test_unknown_split_and_folder_name_what_there_is(tmp_path):
    data = _write_devkit(tmp_path, {"a": [_xml_object(1, 1, 9, 9)]})
    with pytest.raises(FileNotFoundError, match="'tset'.*has all"):
        voc_data.load_split(data, "tset", True)
    with pytest.raises(FileNotFoundError, match="nowhere is no VOC devkit"):
        voc_data.load_split(str(tmp_path / "nowhere"), "all", True)


def test_nothing_left_is_an_error(tmp_path):
    data = _write_devkit(tmp_path, {"a": [_xml_object(1, 1, 9, 9)]})
    shutil.rmtree(tmp_path / "JPEGImages")
    with pytest.raises(ValueError, match="missing pictures.: 1"):
        voc_data.load_split(data, "all", is_strict=False)


def test_per_class_lists_read_like_plain_ones(shared_data):
    data = str(shared_data / "voc2012")
    plain = voc_data.load_split(data, "trainval", True)
    of_class = voc_data.load_split(data, "person_trainval", True)
    assert plain.digest() == of_class.digest()


def test_the_digest_follows_the_objects(tmp_path):
    digests = [
        voc_data.load_split(
            _write_devkit(tmp_path / name, {"a": [_xml_object(1, 1, 9, y)]}),
            "all",
            True,
        ).digest()
        for name, y in (("x", 9), ("y", 9), ("z", 10))
    ]
    assert digests[0] == digests[1] != digests[2]


def _tfds_example(tfds, picture):
    """A picture as TFDS's `voc` holds it."""
    size = [picture.height, picture.width] * 2
    # TFDS divides VOC's indices, which count from 1, by the size.
    corners = (picture.boxes + [1, 1, 0, 0]) / size
    objects = [
        {
            "label": voc_picture.CLASSES[index],
            "bbox": tfds.features.BBox(*map(float, corner)),
            "pose": "unspecified",
            "is_truncated": False,
            "is_difficult": bool(is_difficult),
        }
        for index, corner, is_difficult in zip(
            picture.classes, corners, picture.is_difficult
        )
    ]
    return {
        "image": picture.file.read_bytes(),
        "image/filename": f"{picture.name}.jpg",
        "objects": objects,
        "labels": [],
        "labels_no_difficult": [],
    }


def test_tfds_gives_what_the_devkit_gives(tmp_path, shared_data):
    # tensorflow-datasets 4.9.10 imports it without requiring it.
    pytest.importorskip("importlib_resources")
    tfds = pytest.importorskip("tensorflow_datasets")
    devkit = voc_data.load_split(str(shared_data / "voc2012"), "val", True)
    known = tfds.builder("voc/2007", data_dir=tmp_path)
    # Stored where TFDS looks for its own, so that nothing is downloaded.
    tfds.dataset_builders.store_as_tfds_dataset(
        name="voc",
        version=known.version,
        config="2007",
        features=known.info.features,
        split_datasets={
            "validation": [
                (one.name, _tfds_example(tfds, one)) for one in devkit.pictures
            ]
        },
        data_dir=tmp_path,
    )
    tfds.core.add_data_dir(tmp_path)
    split = voc_data.load_split("tfds:voc/2007", "val", True)
    by_name = {picture.name: picture for picture in split.pictures}
    assert len(by_name) == len(devkit.pictures)
    for picture in devkit.pictures:
        read = by_name[picture.name]
        np.testing.assert_allclose(read.boxes, picture.boxes, atol=1e-9)
        np.testing.assert_array_equal(read.classes, picture.classes)
        np.testing.assert_array_equal(read.is_difficult, picture.is_difficult)
    np.testing.assert_array_equal(read.load_rgb(), picture.load_rgb())
    with pytest.raises(ValueError, match="no split 'tset'; it has val"):
        voc_data.load_split("tfds:voc/2007", "tset", True)
    with pytest.raises(ValueError, match="'vok/2007'.*voc/2007"):
        voc_data.load_split("tfds:vok/2007", "val", True)
