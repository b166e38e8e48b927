"""Writes trunk_golden.npz: what TF-Slim's ResNet-50 gives on fixed weights.

    python tests/golden/make_trunk_golden.py

Weights and pictures come from `slim_reference`, which makes the same ones
everywhere; outputs and moving averages are kept at random places.
"""

import pathlib
import sys
import zlib

import numpy as np

_FOLDER = pathlib.Path(__file__).resolve().parent
DEPTH = 50
# Height, width, output stride.
CASES = ((64, 64, 32), (65, 97, 32), (65, 97, 16), (64, 96, 8))
TRAINING_CASE = (65, 97, 16)
TRAINING_BATCH = 2
_NUM_SAMPLES = 24


def sample(name, array):
    """Returns some values of an array, always at the same places."""
    array = np.asarray(array)
    random = np.random.RandomState(zlib.crc32(name.encode()))
    return array.reshape(-1)[random.randint(0, array.size, _NUM_SAMPLES)]


def sample_all(arrays):
    """Returns samples [N, 24] of {name: array}, in order of the names."""
    return np.stack([sample(name, arrays[name]) for name in sorted(arrays)])


def units_key(height, width, output_stride):
    """Returns the name of a case's units in the file."""
    return f"units_{height}x{width}_stride_{output_stride}"


def main():
    sys.path.insert(0, str(_FOLDER.parent))
    from slim_reference import random_image
    from slim_reference import slim_resnet

    slim = slim_resnet(DEPTH)
    golden = {
        units_key(h, w, stride): sample_all(
            slim.units(random_image(h, w), stride)
        )
        for h, w, stride in CASES
    }
    height, width, stride = TRAINING_CASE
    image = random_image(height, width, TRAINING_BATCH)
    golden["train_units"] = sample_all(
        slim.train_forward(image, stride, is_fused=False)
    )
    golden["averages"] = sample_all(
        {
            name: array
            for name, array in slim.get_weights().items()
            if "/moving_" in name and not name.startswith("postnorm")
        }
    )
    np.savez_compressed(_FOLDER / "trunk_golden.npz", **golden)


if __name__ == "__main__":
    main()
