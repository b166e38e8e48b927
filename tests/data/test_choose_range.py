"""A folder's black and white is chosen once, and stays with the run."""

import cv2
import numpy as np
import pytest

from mtssl_tf import config as config_lib
from mtssl_tf import pretraining
from mtssl_tf.data import choose_range
from mtssl_tf.data import open_source
from mtssl_tf.training import run_directory


def _twelve_bits(folder, count=6):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        image = rng.integers(100, 4000, (40, 48), np.uint16)
        cv2.imwrite(str(folder / f"{number}.tif"), image)
    return folder


def _choose(folder):
    return choose_range.choose(open_source.open_pictures(str(folder)))


def test_twelve_bits_in_sixteen(tmp_path, caplog):
    folder = _twelve_bits(tmp_path / "a")
    with caplog.at_level("INFO", "absl"):
        low, high = _choose(folder)
    assert 100 <= low <= 110 and 3980 <= high <= 4000
    assert f"--value_range={low:g}:{high:g}: black and white" in caplog.text


def test_eight_bits_need_none(tmp_path):
    for suffix in (".jpg", ".png", ".tif"):
        image = np.arange(40 * 48, dtype=np.uint8).reshape(40, 48)
        cv2.imwrite(str(tmp_path / f"a{suffix}"), image)
    (tmp_path / "broken.tif").write_bytes(b"II*\0no picture")
    assert _choose(tmp_path) is None


@pytest.mark.parametrize(
    ("value", "said"),
    [(np.nan, "1 of its 1920 values are NaN"), (7, "nearly all values are 7")],
)
def test_nothing_of_use_is_an_error(tmp_path, value, said):
    image = np.full((40, 48), 7, np.float32)
    image[0, 0] = value
    cv2.imwrite(str(tmp_path / "a.tif"), image)
    with pytest.raises(ValueError, match=said):
        _choose(tmp_path)


def _config(images, *assignments, value_range="auto"):
    config = config_lib.preset_config("tiny", ["relative_position"])
    return config_lib.override(
        config,
        f"data.images={images}",
        f"data.value_range={value_range}",
        *assignments,
    )


def _begin(config, workdir):
    workdir.mkdir(exist_ok=True)
    return pretraining.begin(config, workdir).contract.value_range


def test_a_run_goes_on_with_the_range_that_it_chose(tmp_path):
    images, workdir = _twelve_bits(tmp_path / "a"), tmp_path / "run"
    chosen = _begin(_config(images), workdir)
    assert run_directory.load_config(workdir).contract.value_range == chosen
    for path in images.iterdir():
        cv2.imwrite(str(path), np.full((40, 48), 60_000, np.uint16))
    assert _begin(_config(images), workdir) == chosen
    with pytest.raises(ValueError, match="data.value_range: auto -> 0:4095"):
        _begin(_config(images, value_range="0:4095"), workdir)


def test_a_range_that_is_given_is_taken(tmp_path):
    images = _twelve_bits(tmp_path / "a")
    given = _begin(_config(images, value_range="0:4095"), tmp_path / "one")
    assert given == (0.0, 4095.0)
    given = _begin(_config(images, value_range="dtype"), tmp_path / "two")
    assert given == "dtype"


def test_a_failed_start_leaves_no_run(tmp_path):
    images, workdir = tmp_path / "a", tmp_path / "run"
    images.mkdir()
    cv2.imwrite(str(images / "a.png"), np.full((40, 48), 9, np.uint16))
    with pytest.raises(ValueError, match="all values are 9"):
        _begin(_config(images), workdir)
    assert not (workdir / run_directory.CONFIG_FILE).exists()
    _begin(_config(_twelve_bits(tmp_path / "b")), workdir)
