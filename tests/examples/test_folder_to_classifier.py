"""The notebook runs from its first cell to its last, on less of everything."""

import base64
import pathlib
import re

import cv2
import nbclient
import nbformat
import numpy as np
import pytest

_NOTEBOOK = (
    pathlib.Path(__file__).resolve().parents[2]
    / "examples"
    / "folder_to_classifier.ipynb"
)
# No narrower (`TrunkConfig.width`): batches are odd, and threads many.
_SMALL = """
STEPS, EPOCHS = 8, 1
SETTINGS = {
    "trunk.num_units": (1, 1, 2),
    "trunk.width": 0.25,
    "data.num_fit": 8,
    "train.judge_batches": 1,
}
"""


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(_NOTEBOOK, as_version=4)


def _outputs(cell: nbformat.NotebookNode) -> str:
    return "".join(each.get("text", "") for each in cell.outputs)


def test_it_is_kept_without_outputs(notebook):
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs for cell in code)
    assert all(cell.execution_count is None for cell in code)
    assert ["parameters" in c.metadata.get("tags", []) for c in code][0]


@pytest.mark.long
def test_it_runs(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(_NOTEBOOK.parents[1]))
    small = nbformat.v4.new_code_cell(_SMALL)
    first = next(c for c in notebook.cells if c.cell_type == "code")
    notebook.cells.insert(notebook.cells.index(first) + 1, small)
    place = {"metadata": {"path": str(_NOTEBOOK.parent)}}
    nbclient.NotebookClient(notebook, timeout=500, resources=place).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    said = "\n".join(map(_outputs, code))
    for task in ("relative_position", "exemplar", "motion_segmentation"):
        assert re.search(rf"{task} +loss [\d.]+, blind [\d.]+", said)
    assert re.search(r"unit_02 \(1, \d+, \d+, 256\) float32", said)
    found = re.findall(r"(trained|random): ([\d.]+) % of the test tiles", said)
    assert [name for name, _ in found] == ["trained", "random"]
    drawn = [
        each.data["image/png"]
        for cell in code
        for each in cell.outputs
        if "image/png" in each.get("data", {})
    ]
    (sheet,) = (
        cv2.imdecode(np.frombuffer(base64.b64decode(d), np.uint8), 1)
        for d in drawn
    )
    assert min(sheet.shape[:2]) > 200 and sheet.std() > 10
