"""What a step takes is measured once, for all runs."""

import json

import cv2
import numpy as np
import pytest
import tiny_run

from mtssl_tf.checkup import calibration
from mtssl_tf.training import cost_table
from mtssl_tf.training import gpu_hours

pytestmark = pytest.mark.usefixtures("threads_as_they_are")


def test_each_task_is_measured_into_one_table(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_hours, "NUM_MEASURED", 4)
    monkeypatch.setattr(gpu_hours, "NUM_WARM_UP", 1)
    # Of 12 bits: nearly black where no range is chosen, as training does.
    deep = tmp_path / "deep"
    deep.mkdir()
    for path in samples.images.iterdir():
        values = cv2.imread(str(path)).astype(np.uint16) * 16
        cv2.imwrite(str(deep / f"{path.stem}.png"), values)
    config = tiny_run.config(
        samples, ["exemplar", "motion_segmentation"], f"data.images={deep}"
    )
    path = tmp_path / "costs.json"
    lines = list(calibration.calibrate(config, path))
    assert [line.split(":")[0] for line in lines] == list(config.tasks)
    seconds = cost_table.load(path, config).seconds
    assert all(0 < each < 10 for each in seconds.values())
    # Motion was not looked for: that is no part of a step.
    assert not list(samples.images.parent.glob("labelled_clips/*/"))
    # What was made on another machine is not mixed with this one's.
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, "machine": "a K40"}))
    with pytest.raises(ValueError, match="a K40; this is"):
        next(calibration.calibrate(config, path))
