"""A folder with a folder a class of pictures that are easy to tell apart."""

import pathlib

import cv2
import numpy as np

# Blue, green and red: a classifier of colours gets all of them.
COLORS = {
    "blue": (220, 40, 40),
    "green": (40, 220, 40),
    "red": (40, 40, 220),
    "white": (230, 230, 230),
    "yellow": (40, 220, 220),
}


def save_class_folders(
    folder: pathlib.Path, num_pictures: int = 6, seed: int = 0
) -> pathlib.Path:
    """Writes `num_pictures` noisy pictures of each colour."""
    rng = np.random.default_rng(seed)
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for number in range(num_pictures):
            height, width = rng.integers(66, 90, 2)
            noise = rng.integers(-30, 30, (height, width, 3))
            picture = np.clip(np.array(color) + noise, 0, 255)
            path = folder / name / f"{number}.png"
            cv2.imwrite(str(path), picture.astype(np.uint8))
    return folder
