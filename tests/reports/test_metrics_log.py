"""Tests for metrics.jsonl."""

import json

import pytest

from mtssl_tf.reports import metrics_log


def test_nan_becomes_null(tmp_path):
    log = metrics_log.MetricsLog(tmp_path, 0)
    log.write({"step": 1, "metrics": {"auc": float("nan"), "x": 0.5}})
    log.close()
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line == {"step": 1, "metrics": {"auc": None, "x": 0.5}}


def test_resuming_drops_what_came_after_the_checkpoint(tmp_path):
    log = metrics_log.MetricsLog(tmp_path, 0)
    for step in (10, 20, 30):
        log.write({"step": step})
    log.close()
    # As a kill in the middle of a line leaves it.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    log = metrics_log.MetricsLog(tmp_path, 20)
    log.write({"step": 25})
    log.close()
    steps = [line["step"] for line in metrics_log.load_metrics(tmp_path)]
    assert steps == [10, 20, 25]


def test_a_folder_without_metrics_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        metrics_log.load_metrics(tmp_path)
