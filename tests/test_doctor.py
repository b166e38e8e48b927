"""The command, on a folder with all that can be wrong in it."""

import json

import cv2
import numpy as np
import pytest

from mtssl_tf import doctor
from mtssl_tf import tasks


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        coarse = generator.integers(0, 256, (9, 9, 3), np.uint8)
        image = cv2.resize(coarse, (120, 100), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(images / f"{name}.png"), image)
    whole = (images / "a.png").read_bytes()
    (images / "again.png").write_bytes(whole)
    (images / "cut.png").write_bytes(whole[:100])
    (images / "empty.jpg").write_bytes(b"")
    (images / "text.jpg").write_text("no picture")
    grey = cv2.imread(str(images / "b.png"), cv2.IMREAD_GRAYSCALE)[::-1, :50]
    cv2.imwrite(str(images / "grey.png"), grey)
    return images


def test_names_what_is_wrong(folder, tmp_path, capsys):
    path = tmp_path / "report.json"
    argv = ["doctor", f"--images={folder}", f"--json={path}"]
    assert doctor.main(argv) == 0
    text = capsys.readouterr().out
    report = json.loads(path.read_text())
    found = report["pictures"]
    assert "4 usable of 7" in text
    names = sorted(name for name, _ in found["unusable"])
    assert names == ["cut.png", "empty.jpg", "text.jpg"]
    assert found["grey"] == ["grey.png"]
    assert found["duplicates"] == [["a.png", "again.png"]]
    assert found["short_side_quantiles"]["0"] == 50
    for name, count in found["too_small"].items():
        side = report["smallest_sides"][name]
        assert tasks.TASKS[name].source == "images"
        assert count == 4 * (side > 100) + (50 < side <= 100)
    assert report["cost"]["hours"] > 0
    assert report["clips"] is None


@pytest.mark.parametrize(
    "flags, said",
    [
        ([], "Neither --images nor --videos"),
        (["--images={}/none"], "none"),
        (["--images={}/file"], "is no folder"),
        (["--images={}/empty"], "holds no picture"),
        (["--videos={}/empty"], "no clip"),
        (["--images={}/empty", "--share=0"], "--share=0"),
        (["--images={}/empty", "--share=2"], "--share=2"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, capsys, flags, said):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    argv = ["doctor", *(flag.format(tmp_path) for flag in flags)]
    assert doctor.main(argv) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
