"""Vectors of pictures, from the command to what others read."""

import csv
import importlib
import json
import pathlib
import shutil

import class_folder_pictures
import cv2
import numpy as np
import pytest
import tiny_run

import mtssl_tf
from mtssl_tf import export
from mtssl_tf import pretrained
from mtssl_tf.data import open_source
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.embedding import near
from mtssl_tf.embedding import parts as parts_lib
from mtssl_tf.embedding import parts_folder
from mtssl_tf.embedding import table
from mtssl_tf.frozen import features
from mtssl_tf.frozen import views

command = importlib.import_module("mtssl_tf.embed")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("data") / "pictures"
    class_folder_pictures.save_class_folders(folder, 4)
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def exported(pictures, tmp_path_factory) -> pathlib.Path:
    """An export of a run with a lasso, whose pictures are still there."""
    folder = tmp_path_factory.mktemp("run")
    mtssl_tf.pretrain(
        folder / "run",
        tasks=["exemplar"],
        images=pictures,
        steps=2,
        lasso=True,
        settings=tiny_run.SETTINGS | {"exemplar.batch_size": 4},
    )
    record = export.export_trunk(folder / "run", folder / "export")
    assert "pictures that the run was trained on" in record.statistics
    assert record.mixes.keys() == {"exemplar"}
    return folder / "export"


def test_the_package_has_the_function_whoever_imports_the_module(
    exported, pictures
):
    assert mtssl_tf.embed.__name__ in ("embed", "mtssl_tf.embed")
    with pytest.raises(ValueError, match="--unit=unit_01 and --lasso=some"):
        mtssl_tf.embed(exported, "x", unit="unit_01", lasso="some")
    with pytest.raises(ValueError, match="--lasso=other.*Known: exemplar"):
        mtssl_tf.embed(exported, pictures, lasso="other")


def test_raw_grids_are_what_the_fast_linear_evaluation_reads(
    exported, pictures
):
    made = mtssl_tf.embed(exported, pictures, pool="grid3", raw=True)
    loaded = pretrained.load_pretrained(str(exported), 16)
    source = open_source.open_pictures(str(pictures))
    expected, _ = features.extract_all(
        features.build_extractor(loaded.trunk, loaded.contract, ["unit_02"]),
        views.centre_view_batches(
            source, 96, 96, 64, skipped_lib.SkippedExamples()
        ),
    )
    # Batches may be cut elsewhere, which moves the last digit.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(
        made.vectors, expected[:, 0], rtol=0, atol=1e-6 * scale
    )
    assert made.skipped.keys() == {"broken.jpg"}
    assert [*made.names, "broken.jpg"] == sorted(
        source.names, key=lambda name: (name == "broken.jpg", name)
    )


def test_vectors_are_standardised_by_what_the_export_has(exported, pictures):
    made = mtssl_tf.embed(exported, pictures)
    assert "from its export" in made.statistics
    assert made.vectors.min() >= 0 and made.vectors.max() < 100
    mixed = mtssl_tf.embed(exported, pictures, lasso="exemplar")
    assert "from its export" in mixed.statistics
    assert mixed.vectors.shape == made.vectors.shape
    other = mtssl_tf.embed("random", pictures)
    assert "of the pictures embedded" in other.statistics


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_a_table_holds_names_and_vectors_to_the_bit(tmp_path, kind):
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    names = ["a.jpg", "b,c.jpg", 'd "e".jpg', "ü.jpg", "f/g.jpg"]
    path = tmp_path / f"v.{kind}"
    rows = [(names[:2], vectors[:2]), (names[2:], vectors[2:])]
    table.save(path, table.check(path, None), rows, 5, 3)
    found, numbers = _read(path)
    assert found == names
    np.testing.assert_array_equal(numbers, vectors)


def test_a_command_goes_on_and_writes_what_the_call_gives(
    exported, pictures, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(parts_lib, "PICTURES", 7)
    out = tmp_path / "vectors.npz"
    given = [f"--trunk={exported}", f"--images={pictures}", f"--out={out}"]
    expected = mtssl_tf.embed(exported, pictures)
    whole = np.savez
    count = 0

    def break_off(file, **arrays):
        nonlocal count
        count += 1
        if "numbers" in arrays and count > 2:
            raise OSError(28, "No space left on device", str(out))
        whole(file, **arrays)

    monkeypatch.setattr(np, "savez", break_off)
    assert command.main(["embed", *given]) == 2
    assert "No space left" in capsys.readouterr().err
    assert not out.exists()
    kept = sorted(
        path.name for path in (tmp_path / f"{out.name}.parts").iterdir()
    )
    assert "00000.npz" in kept
    monkeypatch.setattr(np, "savez", whole)
    assert command.main(["embed", *given]) == 0, capsys.readouterr().err
    assert "Skipped 1: broken.jpg" in capsys.readouterr().out
    names, vectors = _read(out)
    assert tuple(names) == expected.names
    np.testing.assert_array_equal(vectors, expected.vectors)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        out.name,
        f"{out.name}.json",
    ]
    about = json.loads((tmp_path / f"{out.name}.json").read_text())
    assert about["skipped"].keys() == {"broken.jpg"}
    assert command.main(["embed", *given]) == 2
    assert "exists" in capsys.readouterr().err


def _read(path):
    if path.suffix == ".npz":
        with np.load(path) as stored:
            return stored["files"].tolist(), stored["vectors"]
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            _, *rows = csv.reader(file)
        vectors = np.array([row[1:] for row in rows], np.float32)
        return [row[0] for row in rows], vectors
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = parquet.read_table(path).to_pydict()
    return columns["file"], np.array(columns["vector"], np.float32)


def test_neighbours_duplicates_and_projector(exported, pictures, tmp_path):
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    copied = min(p for p in folder.rglob("*.*") if p.parent != folder)
    shutil.copy(copied, copied.with_name(f"copy_{copied.name}"))
    given = [
        *(f"--trunk={exported}", f"--images={folder}"),
        *(f"--out={tmp_path / 'v.npz'}", "--neighbours=3"),
        *(f"--duplicates={tmp_path / 'd.csv'}", "--duplicates_above=0.9999"),
        f"--projector={tmp_path / 'projector'}",
    ]
    assert command.main(["embed", *given]) == 0
    with np.load(tmp_path / "v.npz") as stored:
        names = stored["files"].tolist()
    with (tmp_path / "d.csv").open() as file:
        pairs = [(row["file"], row["other"]) for row in csv.DictReader(file)]
    relative = copied.relative_to(folder)
    twin = str(relative.with_name(f"copy_{copied.name}"))
    assert {str(relative), twin} in [set(pair) for pair in pairs]
    sheet = cv2.imread(str(tmp_path / "v.npz.neighbours.png"))
    assert sheet.shape[1] == 4 * 96 + 12 + 5 * 4
    projector = tmp_path / "projector"
    assert (projector / "names.tsv").read_text().splitlines() == names
    vectors = np.loadtxt(projector / "vectors.tsv", delimiter="\t")
    assert len(vectors) == len(names)
    from google.protobuf import text_format
    from tensorboard.plugins import projector as tensorboards

    config = text_format.Parse(
        (projector / "projector_config.pbtxt").read_text(),
        tensorboards.ProjectorConfig(),
    )
    assert config.embeddings[0].sprite.image_path == "sprite.png"


def test_nearest_and_duplicates_by_hand():
    vectors = np.array([[1, 0], [0, 1], [-1, 0], [2, 0], [-2, -1]], np.float32)
    units = near.unit_length(vectors)  # their mean is 0
    np.testing.assert_allclose(np.linalg.norm(units, axis=1), 1, rtol=1e-6)
    order, cosines = near.nearest(units, np.array([0, 1]), 2)
    assert order.tolist() == [[3, 1], [0, 2]]
    np.testing.assert_allclose(cosines, [[1, 0], [0, 0]], atol=1e-6)
    pairs = near.duplicates(units, 0.85)
    assert [pair[:2] for pair in pairs] == [(0, 3), (2, 4)]
    assert pairs[1][2] == pytest.approx(2 / 5**0.5)


def test_of_too_many_duplicates_the_most_alike_are_listed(monkeypatch):
    # A kind of fault: all are held, and cut off afterwards.
    rng = np.random.default_rng(0)
    units = near.unit_length(rng.normal(size=(70, 3)).astype(np.float32))
    everything = near.duplicates(units, -1.0)
    assert len(everything) == 70 * 69 / 2
    monkeypatch.setattr(near, "MAX_PAIRS", 50)
    monkeypatch.setattr(near, "_CHUNK", 16)
    cut = near.duplicates(units, -1.0)
    assert [pair[:2] for pair in cut] == [pair[:2] for pair in everything[:50]]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--unit=unit_01", "--lasso=some"], "exclude each other"),
        (["--unit=unit_99"], "--unit=unit_99 is no unit"),
        (["--out={0}/v.txt"], "'txt' is unknown"),
        (["--out={0}/no/v.csv"], "there is no folder"),
        (["--images={0}"], "holds no picture"),
        (["--trunk={0}"], "is no run directory"),
        (["--size_px=8"], "size_px"),
        (["--size_px=1000000000"], "size_px=1000000000"),
        (["--seed=99999999999"], "seed=99999999999"),
        (["--duplicates={0}"], "is a folder. Name a file"),
        (["--duplicates=" + __file__], "exists. Name a new file, or remove"),
        (["--duplicates={0}/v.csv"], "v.csv is where"),
        (["--duplicates={0}/v.csv.json"], "v.csv.json is where"),
        (["--projector={0}"], "exists and holds no"),
        (["--allow_open_cluster"], "is for --cluster"),
    ],
)
def test_mistakes_are_one_line(
    exported, pictures, tmp_path, capsys, flags, message
):
    given = [
        *(f"--trunk={exported}", f"--images={pictures}"),
        f"--out={tmp_path}/v.csv",
        *(flag.format(tmp_path) for flag in flags),
    ]
    assert command.main(["embed", *given]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1, error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["i.csv.parts/mine.txt", "i.csv.json"])
def test_nothing_of_the_users_is_removed_or_overwritten(
    exported, pictures, tmp_path, capsys, name
):
    # A kind of fault: a name that we would give is taken for ours.
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text('{"mine": 1}')
    given = [f"--trunk={exported}", f"--images={pictures}"]
    assert command.main(["embed", *given, f"--out={tmp_path}/i.csv"]) == 2
    error = capsys.readouterr().err
    assert "i.csv" in error and len(error.splitlines()) == 1
    assert mine.read_text() == '{"mine": 1}'


def test_parts_of_other_settings_go_and_files_beside_them_stay(tmp_path):
    for name in ("settings.json", "00003.npz", "00004.npz.1-2.partial"):
        (tmp_path / name).touch()
    parts_folder.check(tmp_path)
    (tmp_path / "mine.npz").touch()
    parts_folder.remove(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]


def test_parquet_is_an_extra(monkeypatch, tmp_path):
    monkeypatch.setattr(table.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"mtssl_tf\[parquet\]"):
        table.check(tmp_path / "v.parquet", None)
