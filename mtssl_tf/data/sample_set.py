"""The built-in sample set: real photographs, and clips made from them.

The photographs ship inside scikit-image, so nothing is downloaded. They are
cut into tiles that do not overlap. A clip is a view panning over one
photograph with a cut-out of another moving over it, so that the true mask of
what moves is known.

It is for a first look at the tool: some hundred tiles of a dozen photographs
teach a trunk little.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time

import cv2
import numpy as np
import skimage

from mtssl_tf.files import picture
from mtssl_tf.process import atomic_file
from mtssl_tf.process import lock
from mtssl_tf.process import paths

# Changes with what the files hold, so that an old set is not used again.
_VERSION = 2
_FOLDER = "sample_set_v"  # and the version
_WAIT_S = 0.1

_PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "rocket.jpg",
    "motorcycle_left.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "camera.png",
    "coins.png",
    "brick.png",
    "grass.png",
    "gravel.png",
)
_TILE_PX = 160

# Clips are made of the first few, which show things and not textures.
_NUM_CLIP_PHOTOGRAPHS = 5
_NUM_CLIPS = 12
_NUM_FRAMES = 24
_CLIP_HEIGHT_PX, _CLIP_WIDTH_PX = 240, 320
_MAX_PAN_PX = 2.0  # a frame
_MIN_SPEED_PX, _MAX_SPEED_PX = 3.0, 5.0  # of the cut-out, a frame
_JPEG_QUALITY = 92


@dataclasses.dataclass(frozen=True)
class SampleSet:
    """Folders of the sample set, as a user would give them.

    Attributes:
        images: tiles of photographs.
        videos: a folder of frames a clip.
        masks: a folder a clip, a PNG a frame: 255 where the cut-out is.
    """

    images: pathlib.Path
    videos: pathlib.Path
    masks: pathlib.Path


def build_sample_set(cache_dir: str | os.PathLike) -> SampleSet:
    """Makes the sample set, or finds it where it was made before."""
    cache = pathlib.Path(paths.expand(os.fspath(cache_dir)))
    root = cache / f"{_FOLDER}{_VERSION}"
    while not root.is_dir():
        try:
            with lock.hold_name(root):
                atomic_file.remove_partials(root)  # of who was killed
                if not root.is_dir():
                    _make(root)
        except lock.LockedError:
            time.sleep(_WAIT_S)  # another process makes the same files
    return SampleSet(root / "images", root / "videos", root / "masks")


def is_part(path: str) -> bool:
    """Returns whether a folder is one of a sample set, of any version."""
    return pathlib.Path(path).parent.name.startswith(_FOLDER)


def _make(root: pathlib.Path) -> None:
    photographs = [_load_photograph(name) for name in _PHOTOGRAPHS]
    with atomic_file.new_folder(root) as partial:
        _save_tiles(photographs, partial / "images")
        for number in range(_NUM_CLIPS):
            _save_clip(photographs, number, partial)


def _load_photograph(name: str) -> np.ndarray:
    """Returns uint8 [H, W, 3] BGR."""
    folder = pathlib.Path(skimage.__file__).parent / "data"
    image = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
    if image is None:
        raise FileNotFoundError(
            f"scikit-image has no {folder / name}. "
            "Install the version that setup.cfg asks for, or give --images "
            "and --videos."
        )
    return image


def _save_tiles(photographs: list[np.ndarray], folder: pathlib.Path) -> None:
    folder.mkdir(parents=True)
    for name, photograph in zip(_PHOTOGRAPHS, photographs):
        height, width = photograph.shape[:2]
        for top in range(0, height - _TILE_PX + 1, _TILE_PX):
            for left in range(0, width - _TILE_PX + 1, _TILE_PX):
                tile = photograph[top : top + _TILE_PX, left : left + _TILE_PX]
                path = folder / f"{pathlib.Path(name).stem}_{top}_{left}.jpg"
                _save(path, tile)


def _save_clip(
    photographs: list[np.ndarray], number: int, root: pathlib.Path
) -> None:
    """Writes frames and masks of clip `number`, random but always alike."""
    random = np.random.default_rng(number)
    back, front = random.permutation(_NUM_CLIP_PHOTOGRAPHS)[:2]
    angle = random.uniform(0, 2 * np.pi)
    # The view pans one way. In the frame the background then goes the other
    # way, and the cut-out within a quarter turn of the view's.
    view = _Path(angle, random.uniform(0, _MAX_PAN_PX))
    cutout = _Path(
        angle + random.uniform(-np.pi / 2, np.pi / 2),
        random.uniform(_MIN_SPEED_PX, _MAX_SPEED_PX),
    )
    radii = random.uniform(0.15, 0.28, 2) * _CLIP_HEIGHT_PX
    frames = root / "videos" / f"clip_{number:02d}"
    masks = root / "masks" / f"clip_{number:02d}"
    frames.mkdir(parents=True)
    masks.mkdir(parents=True)
    background = _fit(photographs[back], 1.6)
    foreground = _fit(photographs[front], 1.0)
    room = np.array(background.shape[:2]) - (_CLIP_HEIGHT_PX, _CLIP_WIDTH_PX)
    for frame in range(_NUM_FRAMES):
        scene = _shifted(background, room / 2 + view.at(frame))
        # The cut-out keeps its texture: the photograph moves along with it.
        moved = _shifted(foreground, -cutout.at(frame))
        mask = _ellipse(cutout.at(frame), radii)
        scene = np.where(mask[..., None] > 0, moved, scene)
        _save(frames / f"{frame:05d}.jpg", scene)
        _save(masks / f"{frame:05d}.png", mask)


class _Path:
    """A straight movement through the middle of the clip."""

    def __init__(self, angle: float, speed_px: float) -> None:
        self._step = speed_px * np.array([np.sin(angle), np.cos(angle)])

    def at(self, frame: int) -> np.ndarray:
        """Returns the (y, x) shift in pixels, float64 [2]."""
        return self._step * (frame - _NUM_FRAMES / 2)


def _fit(photograph: np.ndarray, factor: float) -> np.ndarray:
    """Scales a photograph to cover a clip's frame `factor` times."""
    height, width = photograph.shape[:2]
    scale = factor * max(_CLIP_HEIGHT_PX / height, _CLIP_WIDTH_PX / width)
    return cv2.resize(
        photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA
    )


def _shifted(image: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Returns the frame whose corner lies at (y, x), mirrored outside."""
    matrix = np.array([[1, 0, -corner[1]], [0, 1, -corner[0]]], np.float64)
    return cv2.warpAffine(
        image,
        matrix,
        (_CLIP_WIDTH_PX, _CLIP_HEIGHT_PX),
        borderMode=cv2.BORDER_REFLECT_101,
    )


def _ellipse(shift: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Returns the cut-out's mask, uint8 [H, W] of 0 and 255."""
    y, x = np.mgrid[:_CLIP_HEIGHT_PX, :_CLIP_WIDTH_PX]
    dy = (y - _CLIP_HEIGHT_PX / 2 - shift[0]) / radii[0]
    dx = (x - _CLIP_WIDTH_PX / 2 - shift[1]) / radii[1]
    return np.where(dy**2 + dx**2 <= 1, 255, 0).astype(np.uint8)


def _save(path: pathlib.Path, image: np.ndarray) -> None:
    is_jpeg = path.suffix == ".jpg"
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if is_jpeg else []
    picture.save(path, image, options)
