"""Depth data: each source, its split, and what is refused."""

import os

import cv2
import h5py
import numpy as np
import PIL.Image
import pytest
import scipy.io

from evaluation.depth import data as data_lib
from evaluation.depth import folder as folder_lib
from evaluation.depth import pairs

_H, _W = 12, 16


def _picture(index):
    rng = np.random.default_rng(index)
    return rng.integers(0, 256, (_H, _W, 3), dtype=np.uint8)


def _write_folder(folder, num_pairs=8, depth_mm=2000):
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    for index in range(num_pairs):
        depth = np.full((_H, _W), depth_mm + index, np.uint16)
        depth[0, 0], depth[0, 1] = 0, 65535
        cv2.imwrite(str(folder / f"depth/{index:03d}.png"), depth)
        cv2.imwrite(
            str(folder / f"rgb/{index:03d}.png"), _picture(index)[:, :, ::-1]
        )
    return folder


def _load(source, split=None, test_share=0.25):
    return data_lib.load_depth_data(str(source), split, test_share)


def test_folder_is_split_in_time_and_read_in_metres(tmp_path):
    data = _load(_write_folder(tmp_path))
    assert (len(data.train), len(data.test)) == (6, 2)
    assert data.summary()["num_test"] == 2
    pair = data.test[1]
    np.testing.assert_array_equal(pair.rgb, _picture(7))
    assert pair.depth_m[3, 3] == pytest.approx(2.007)
    assert pair.depth_m[0, 0] == 0 and pair.depth_m[0, 1] == 0
    assert pair.depth_m.dtype == np.float32


def test_a_split_that_is_not_looked_at_is_refused(tmp_path):
    # A kind of fault: an option that does nothing, without a word.
    folder = _write_folder(tmp_path)
    with pytest.raises(ValueError, match="splits.mat is of NYU's .mat"):
        _load(folder, tmp_path / "splits.mat")


def test_frames_without_zeros_before_their_number_are_in_time(tmp_path):
    """By text 10 and 11 come before 2, and the test is no longer the end."""
    folder = _write_folder(tmp_path, num_pairs=12)
    for path in sorted(folder.rglob("*.png")):
        path.rename(path.with_name(f"frame{int(path.stem)}.png"))
    data = _load(folder)
    tested = [data.test[index].name for index in range(len(data.test))]
    assert [name.rpartition("frame")[2] for name in tested] == [
        "9.png",
        "10.png",
        "11.png",
    ]


def test_pictures_turned_by_exif_agree_with_their_depth(tmp_path):
    """The tag says 180 degrees; depth maps lie over what is stored."""
    folder = _write_folder(tmp_path, num_pairs=4)
    y, x = np.mgrid[:_H, :_W]
    scene = np.stack([10 * y, 10 * x, 0 * x], -1).astype(np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = 3
    for path in sorted((folder / "rgb").iterdir()):
        path.unlink()
        PIL.Image.fromarray(scene).save(
            path.with_suffix(".jpg"), exif=exif, quality=95, subsampling=0
        )
    pair = _load(folder).train[0]
    assert np.abs(pair.rgb.astype(int) - scene).mean() < 6
    assert pair.depth_m[0, 0] == 0  # as stored: the top left one is missing


def test_hidden_files_and_pipes_are_no_pairs(tmp_path):
    folder = _write_folder(tmp_path)
    (folder / "rgb" / "._000.jpg").write_bytes(b"AppleDouble")
    (folder / "depth" / "._001.png").write_bytes(b"AppleDouble")
    os.mkfifo(folder / "rgb" / "pipe.jpg")
    data = _load(folder)
    assert (len(data.train), len(data.test)) == (6, 2)


def test_names_of_any_bytes_are_pairs(tmp_path):
    folder = os.fsencode(_write_folder(tmp_path))
    for kind in (b"rgb", b"depth"):
        os.rename(
            os.path.join(folder, kind, b"000.png"),
            os.path.join(folder, kind, b"0\xff.png"),
        )
    data = _load(tmp_path)
    assert any("0\\xff.png" in pair.name for pair in _all(data.train))
    data.summary()


def _all(some_pairs):
    return [some_pairs[index] for index in range(len(some_pairs))]


def test_a_picture_that_claims_gigabytes_is_named(tmp_path, monkeypatch):
    folder = _write_folder(tmp_path)
    monkeypatch.setattr(folder_lib.picture, "MAX_PIXELS", _H * _W - 1)
    with pytest.raises(ValueError, match="000.png cannot be used.*16x12"):
        _load(folder)


def test_the_check_holds_one_pair_at_a_time():
    """A hundred pairs of a camera were held at once."""
    alive = 0
    most = 0

    class _Counted(np.ndarray):
        def __del__(self):
            nonlocal alive
            alive -= 1

    class _Pairs:
        def __len__(self):
            return 40

        def __getitem__(self, index):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            depth = np.ones((_H, _W), np.float32).view(_Counted)
            return pairs.DepthPair(str(index), _picture(index), depth)

    pairs.check_depth(_Pairs())
    assert most <= 6


def test_a_split_file_that_may_unpack_to_gigabytes_is_refused(tmp_path):
    path, _ = _write_mat(tmp_path)
    split = tmp_path / "splits.mat"
    split.write_bytes(bytes(2**18 + 1))
    with pytest.raises(ValueError, match="splits.mat has 262145 bytes"):
        _load(path)


def test_digest_follows_the_data(tmp_path):
    data = _load(_write_folder(tmp_path / "a"))
    same = _load(_write_folder(tmp_path / "b"))
    fewer = _load(_write_folder(tmp_path / "c", num_pairs=7))
    other_split = _load(tmp_path / "a", test_share=0.5)
    digest = data.summary()["digest"]
    assert digest == same.summary()["digest"]
    assert digest != fewer.summary()["digest"]
    assert digest != other_split.summary()["digest"]


def test_unmatched_names(tmp_path):
    folder = _write_folder(tmp_path)
    (folder / "depth/003.png").rename(folder / "depth/9.png")
    with pytest.raises(ValueError, match="2 files .*rgb/003.png"):
        _load(folder)


def test_two_pictures_of_one_name(tmp_path):
    folder = _write_folder(tmp_path)
    (folder / "rgb/003.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="9 pictures under 8 names"):
        _load(folder)


def test_sizes_that_differ(tmp_path):
    folder = _write_folder(tmp_path)
    wrong = np.full((_H, _W + 1), 2000, np.uint16)
    cv2.imwrite(str(folder / "depth/000.png"), wrong)
    with pytest.raises(ValueError, match="12 x 16 .* 12 x 17"):
        _load(folder)


@pytest.mark.parametrize("depth_mm, metres", [(2, "0.0055"), (60000, "60.0")])
def test_depth_in_another_unit(tmp_path, depth_mm, metres):
    folder = _write_folder(tmp_path, depth_mm=depth_mm)
    with pytest.raises(ValueError, match="median depth is") as error:
        _load(folder)
    assert "millimetres" in str(error.value)


def test_all_missing_depth(tmp_path):
    folder = _write_folder(tmp_path)
    cv2.imwrite(str(folder / "depth/002.png"), np.zeros((_H, _W), np.uint16))
    with pytest.raises(ValueError, match="002.png: every depth value"):
        _load(folder)


def test_depth_of_8_bits(tmp_path):
    folder = _write_folder(tmp_path)
    cv2.imwrite(str(folder / "depth/000.png"), np.ones((_H, _W), np.uint8))
    with pytest.raises(ValueError, match="16 bits .* got uint8"):
        _load(folder)


@pytest.mark.parametrize("name", ["depth/005.png", "rgb/007.png"])
def test_a_damaged_pair_is_skipped_as_if_it_had_been_removed(tmp_path, name):
    # A kind of fault: the remedy that is named makes it another run.
    folder = _write_folder(tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    skipping = _load(folder).summary()
    number = name.rpartition("/")[2]
    assert list(skipping["skipped"]) == [number]
    assert "cannot be used" in skipping["skipped"][number]
    (folder / "rgb" / number).unlink()
    (folder / "depth" / number).unlink()
    removed = _load(folder).summary()
    assert removed["skipped"] == {}
    assert removed["digest"] == skipping["digest"]


def test_every_test_pair_is_checked_before_training(tmp_path, monkeypatch):
    folder = _write_folder(tmp_path, num_pairs=12)
    monkeypatch.setattr(pairs.check_depth, "__defaults__", (2,))
    empty = np.zeros((_H, _W), np.uint16)
    cv2.imwrite(str(folder / "depth/009.png"), empty)
    with pytest.raises(ValueError, match="009.png: every depth value"):
        _load(folder, test_share=0.5)


@pytest.mark.parametrize("share", [0.0, 0.01, 1.0])
def test_share_that_leaves_one_side_empty(tmp_path, share):
    with pytest.raises(ValueError, match=f"test_share={share} of 8"):
        _load(_write_folder(tmp_path), test_share=share)


@pytest.mark.parametrize("missing", ["rgb", "depth"])
def test_folder_without_its_parts(tmp_path, missing):
    folder = _write_folder(tmp_path)
    (folder / missing).rename(folder / "elsewhere")
    with pytest.raises(FileNotFoundError, match=f"No folder .*{missing}"):
        _load(folder)


def test_nothing_there():
    with pytest.raises(FileNotFoundError, match="--data=/no/such/thing"):
        _load("/no/such/thing")


def _write_mat(folder, num_pictures=5, depth_m=2.0):
    """A file with the layout of nyu_depth_v2_labeled.mat."""
    path = folder / "nyu.mat"
    pictures = np.stack([_picture(index) for index in range(num_pictures)])
    filled = (
        depth_m
        + np.arange(num_pictures * _H * _W).reshape(num_pictures, _H, _W)
        / 1000.0
    )
    raw = filled.copy()
    raw[:, 2, 3] = 0.0
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = pictures.transpose(0, 3, 2, 1)  # [N, 3, W, H]
        file["depths"] = filled.transpose(0, 2, 1).astype(np.float32)
        file["rawDepths"] = raw.transpose(0, 2, 1).astype(np.float32)
    return path, filled


def _write_split(folder, train, test):
    columns = {
        "trainNdxs": np.array(train, np.uint16)[:, None],
        "testNdxs": np.array(test, np.uint16)[:, None],
    }
    scipy.io.savemat(folder / "splits.mat", columns)


def test_mat_trains_on_raw_depth_and_tests_on_filled(tmp_path):
    path, filled = _write_mat(tmp_path)
    _write_split(tmp_path, [1, 4], [2, 3, 5])
    data = _load(path)
    assert data.split == "official 2/3" and data.test_depth == "filled"
    train, test = data.train[1], data.test[2]
    np.testing.assert_array_equal(train.rgb, _picture(3))
    np.testing.assert_array_equal(test.rgb, _picture(4))
    assert train.depth_m[2, 3] == 0
    assert train.depth_m[5, 6] == pytest.approx(filled[3, 5, 6])
    np.testing.assert_allclose(test.depth_m, filled[4], rtol=1e-6)


def test_mat_split_in_another_place(tmp_path):
    path, _ = _write_mat(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _write_split(other, [1], [2])
    assert len(_load(path, split=other / "splits.mat").test) == 1


def test_mat_without_a_split_says_where_it_comes_from(tmp_path):
    path, _ = _write_mat(tmp_path)
    with pytest.raises(FileNotFoundError, match="horatio.*--split=PATH"):
        _load(path)


@pytest.mark.parametrize(
    "train, test", [([1, 2], [2]), ([0, 1], [2]), ([1], [6])]
)
def test_mat_split_that_does_not_fit(tmp_path, train, test):
    path, _ = _write_mat(tmp_path)
    _write_split(tmp_path, train, test)
    with pytest.raises(ValueError, match="different ones of 1 to 5"):
        _load(path)


def test_damaged_split(tmp_path):
    path, _ = _write_mat(tmp_path)
    (tmp_path / "splits.mat").write_bytes(b"not a mat file" * 20)
    with pytest.raises(ValueError, match="not the official split"):
        _load(path)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_mat_cut_short(tmp_path, keep):
    path, _ = _write_mat(tmp_path)
    _write_split(tmp_path, [1], [2])
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ValueError, match="nyu.mat is not a MATLAB 7.3 file"):
        _load(path)


def test_mat_of_something_else(tmp_path):
    path = tmp_path / "nyu.mat"
    with h5py.File(path, "w") as file:
        file["accelData"] = np.zeros((3, 4))
    with pytest.raises(ValueError, match="accelData"):
        _load(path)


def test_mat_whose_one_chunk_unpacks_to_gigabytes(tmp_path):
    path = tmp_path / "nyu.mat"
    shape = (1, 3, 4096, 8192)
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "images", shape, "u1", chunks=shape, compression="gzip"
        )
        file["rawDepths"] = np.zeros((1, 2, 2), np.float32)
    with pytest.raises(ValueError, match="chunks of 100663296 bytes"):
        _load(path)


@pytest.mark.parametrize(
    "other", [np.dtype("f4"), h5py.Empty("f4"), ["text"], None]
)
def test_mat_whose_depth_is_no_array_of_numbers(tmp_path, other):
    path, _ = _write_mat(tmp_path)
    with h5py.File(path, "a") as file:
        del file["rawDepths"]
        if other is None:
            file.create_group("rawDepths")
        else:
            file["rawDepths"] = other
    with pytest.raises(ValueError, match="nyu.mat .*: rawDepths is .*numbers"):
        _load(path)


def test_mat_in_millimetres(tmp_path):
    path, _ = _write_mat(tmp_path, depth_m=2000.0)
    _write_split(tmp_path, [1], [2])
    with pytest.raises(ValueError, match="median depth is 2000"):
        _load(path)


def test_missing_is_whatever_is_no_distance():
    depth = np.array([[np.nan, np.inf, -1.0, 2.0]])
    pair = pairs.checked_pair("x", np.zeros((1, 4, 3), np.uint8), depth)
    assert pair.depth_m.tolist() == [[0, 0, 0, 2]]


def test_evenly_spaced_reads_first_and_last(tmp_path):
    data = _load(_write_folder(tmp_path, 12), test_share=0.1)
    names = [pair.name[-7:-4] for pair in pairs.evenly_spaced(data.train, 3)]
    assert names == ["000", "005", "010"]
    assert len(list(pairs.evenly_spaced(data.test, 3))) == 1
