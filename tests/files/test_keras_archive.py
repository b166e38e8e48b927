"""`.keras` files that claim far more than they weigh.

The kind of fault: an archive unpacked before what it claims is bounded.
"""

import io
import zipfile

import h5py
import keras
import numpy as np
import pytest

from mtssl_tf.files import keras_archive


def _save(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return path


def _weights(shape, **options):
    """Returns an HDF5 file with one array, of which nothing is written."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("layers/dense/vars/0", shape, "f4", **options)
    return buffer.getvalue()


def test_what_keras_writes_is_accepted(tmp_path):
    model = keras.Sequential([keras.Input([100]), keras.layers.Dense(1000)])
    model.save(tmp_path / "a.keras")
    keras_archive.check(tmp_path / "a.keras")


def test_a_deflated_bomb_is_refused(tmp_path):
    zeros = np.zeros(2**27, np.uint8)  # 134 MB
    path = _save(tmp_path / "a.keras", {"model.weights.h5": zeros.tobytes()})
    with pytest.raises(ValueError, match="a.keras: it unpacks to 134217728"):
        keras_archive.check(path)


@pytest.mark.parametrize("options", [{}, {"chunks": (1000, 1000)}])
def test_weights_that_are_only_claimed_are_refused(tmp_path, options):
    """HDF5 needs no room for an array that was never written."""
    members = {"model.weights.h5": _weights((40_000, 40_000), **options)}
    path = _save(tmp_path / "a.keras", members)
    with pytest.raises(ValueError, match="a.keras: its weights claim 64000000"):
        keras_archive.check(path)


def test_a_large_text_is_refused(tmp_path):
    members = {
        "config.json": "[" * 2**24 + "]",
        "model.weights.h5": np.random.default_rng(0).bytes(2**24),
    }
    path = _save(tmp_path / "a.keras", members)
    with pytest.raises(ValueError, match="config.json in it has 16777217"):
        keras_archive.check(path)


@pytest.mark.parametrize("contents", [b"", b"no archive at all"])
def test_what_is_no_archive_is_named(tmp_path, contents):
    (tmp_path / "a.keras").write_bytes(contents)
    with pytest.raises(ValueError, match="a.keras is no whole .keras file"):
        keras_archive.check(tmp_path / "a.keras")


def test_an_archive_without_weights_is_named(tmp_path):
    path = _save(tmp_path / "a.keras", {"config.json": "{}"})
    with pytest.raises(ValueError, match="model.weights.h5"):
        keras_archive.check(path)
    path = _save(tmp_path / "b.keras", {"model.weights.h5": b"no HDF5"})
    with pytest.raises(ValueError, match="b.keras is no whole"):
        keras_archive.check(path)


def test_a_damaged_member_is_named(tmp_path):
    members = {"config.json": "{}", "model.weights.h5": _weights((4,))}
    path = _save(tmp_path / "a.keras", members, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"{}", b"[]"))
    with pytest.raises(ValueError, match="a.keras .* config.json in it is dam"):
        keras_archive.check(path)
