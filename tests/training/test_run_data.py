"""Data that were moved are known again, and others are refused.

Kinds of fault: a disk that is away taken for other data; a number that means
another picture than before.
"""

import hashlib
import json

import pytest

from mtssl_tf import config as config_lib
from mtssl_tf.training import run_data
from mtssl_tf.training import run_directory


def _config(images):
    return config_lib.override(
        config_lib.preset_config("tiny", ["exemplar"]), f"data.images={images}"
    )


def _pictures(folder, sizes=(1, 2, 3)):
    folder.mkdir()
    for number, size in enumerate(sizes):
        (folder / f"{number}.jpg").write_bytes(b"x" * size)
    return [f"{number}.jpg" for number in range(len(sizes))]


def _begin(run, folder):
    """Begins a run on some pictures, and returns their names."""
    names = _pictures(folder)
    run_directory.prepare(run, _config(str(folder)))
    run_data.check(run, "images", str(folder), names, 0)
    return names


def test_moved_data_goes_on_if_it_is_the_same_files(tmp_path):
    run, old, new = (tmp_path / name for name in ("run", "pics", "moved"))
    names = _begin(run, old)
    old.rename(new)
    run_directory.prepare(run, _config(str(new)))
    run_data.check(run, "images", str(new), names[::-1], 0)
    # And back from there.
    new.rename(old)
    run_directory.prepare(run, _config(str(old)))
    run_data.check(run, "images", str(old), names, 0)


def test_other_files_elsewhere_are_refused(tmp_path):
    run, old, new = (tmp_path / name for name in ("run", "pics", "others"))
    _begin(run, old)
    fewer = _pictures(new, (1, 2))
    run_directory.prepare(run, _config(str(new)))
    with pytest.raises(ValueError, match="others holds other files.*3 .*2 now"):
        run_data.check(run, "images", str(new), fewer, 0)
    larger = _pictures(tmp_path / "larger", (9, 9, 9))
    with pytest.raises(ValueError, match="larger holds other files"):
        run_data.check(run, "images", str(tmp_path / "larger"), larger, 1)


def test_a_disk_that_is_away_is_named_and_nothing_is_noted(tmp_path):
    # A kind of fault: one start without the disk, and a later move of the
    # same files is refused.
    run, old, new = (tmp_path / name for name in ("run", "pics", "moved"))
    names = _begin(run, old)
    old.rename(new)
    old.mkdir()
    with pytest.raises(FileNotFoundError, match="pics holds none.*Mount the"):
        run_data.check(run, "images", str(old), names, 0)
    run_data.check(run, "images", str(new), names, 0)


def test_sets_of_data_stay_in_their_order(tmp_path):
    # A kind of fault: a number means another picture from there on.
    names = ["a/0.jpg", "b/0.jpg"]
    run_data.check(tmp_path, "images", "/x/a,/x/b", names, 0)
    with pytest.raises(ValueError, match="/y/b,/y/a has another order.*/x/a,"):
        run_data.check(tmp_path, "images", "/y/b,/y/a", names, 0)
    run_data.check(tmp_path, "images", "/y/a,/y/b", names, 0)


def test_the_digest_of_many_files_is_as_it_always_was(tmp_path):
    """Each name, and the size of every third file: runs of 0.1.0 go on."""
    names = _pictures(tmp_path / "pics", range(800))
    run_data.check(tmp_path, "images", f"{tmp_path}/pics", names, 0)
    noted = json.loads((tmp_path / "data.json").read_text())["images"]
    assert noted["count"] == 800 and noted["held_out"] == 0
    digest = hashlib.sha256()
    for number, name in enumerate(sorted(names)):
        digest.update(name.encode() + b"\0")
        if number % 3 == 0:
            digest.update(name.removesuffix(".jpg").encode())  # its size
    assert noted["count"] == 800
    assert noted["digest"] == digest.hexdigest()
