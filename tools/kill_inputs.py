"""Small inputs of every kind that a command reads, made from the sample set."""

from __future__ import annotations

import pathlib
import shutil

import cv2
import numpy as np

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf.data import sample_set
from mtssl_tf.process import atomic_file
from mtssl_tf.training import cost_table

COSTS_FILE = "costs.json"
_NUM_CLASS_PICTURES = 6
_NUM_PAIRS = 8
_NUM_VOC_PICTURES = 4
_NUM_CLIPS = 3
# Five, so that recall@5 is measured too.
_CLASSES = ("astronaut", "brick", "grass", "gravel", "ihc")


def build(folder: pathlib.Path) -> None:
    """Makes `images`, `videos`, `classes`, `depth` and `voc` below a folder,
    and a table of seconds per step.
    """
    if folder.is_dir():
        return
    samples = sample_set.build_sample_set(folder.parent / "samples")
    with atomic_file.new_folder(folder) as partial:
        shutil.copytree(samples.images, partial / "images")
        for clip in sorted(samples.videos.iterdir())[:_NUM_CLIPS]:
            shutil.copytree(clip, partial / "videos" / clip.name)
        _make_classes(samples.images, partial / "classes")
        _make_depth(partial / "depth")
        _make_voc(samples, partial / "voc")
        _make_costs(partial / COSTS_FILE)


def _make_costs(path: pathlib.Path) -> None:
    """Writes that a step of any task costs a hundredth of an hour."""
    config = config_lib.preset_config("tiny", recipes.default_tasks())
    cost_table.save(path, config, "none", dict.fromkeys(config.tasks, 36.0))


def _make_classes(images: pathlib.Path, folder: pathlib.Path) -> None:
    """Writes `train` and `test`, every other tile of a photograph in each."""
    for name in _CLASSES:
        tiles = sorted(images.glob(f"{name}_*"))[: 2 * _NUM_CLASS_PICTURES]
        for number, part in enumerate(("train", "test")):
            (folder / part / name).mkdir(parents=True)
            for tile in tiles[number::2]:
                shutil.copy(tile, folder / part / name)


def _make_depth(folder: pathlib.Path) -> None:
    """Writes pairs in which brighter is farther."""
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    for index in range(_NUM_PAIRS):
        rng = np.random.default_rng(index)
        level = cv2.resize(rng.uniform(0.1, 0.9, (3, 4)), (160, 120))
        picture = (255 * np.repeat(level[..., None], 3, axis=2)).astype(
            np.uint8
        )
        cv2.imwrite(f"{folder}/rgb/{index}.png", picture)
        cv2.imwrite(
            f"{folder}/depth/{index}.png",
            (500 + 3000 * level).astype(np.uint16),
        )


def _make_voc(samples: sample_set.SampleSet, folder: pathlib.Path) -> None:
    """Writes frames of the clips, with a box around what moves."""
    for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    names = []
    for clip in sorted(samples.masks.iterdir())[:_NUM_VOC_PICTURES]:
        mask = sorted(clip.iterdir())[0]
        moving = _read(mask) > 0
        rows, columns = (
            np.flatnonzero(moving.any(1)),
            np.flatnonzero(moving.any(0)),
        )
        frame = next((samples.videos / clip.name).glob(f"{mask.stem}.*"))
        picture = _read(frame)
        names.append(clip.name)
        cv2.imwrite(f"{folder}/JPEGImages/{clip.name}.jpg", picture)
        height, width = moving.shape
        (folder / "Annotations" / f"{clip.name}.xml").write_text(
            f"<annotation><filename>{clip.name}.jpg</filename><size><width>"
            f"{width}</width><height>{height}</height><depth>3</depth></size>"
            "<object><name>cat</name><difficult>0</difficult><bndbox>"
            f"<xmin>{columns[0] + 1}</xmin><ymin>{rows[0] + 1}</ymin>"
            f"<xmax>{columns[-1] + 1}</xmax><ymax>{rows[-1] + 1}</ymax>"
            "</bndbox></object></annotation>\n"
        )
    text = "".join(f"{name}\n" for name in names)
    for split in ("trainval", "test"):
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(text)


def _read(path: pathlib.Path) -> np.ndarray:
    return np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
