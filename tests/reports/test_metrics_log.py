"""Tests for metrics.jsonl."""

import json

import pytest

from mtssl_tf.reports import metrics_log


def test_nan_becomes_null(tmp_path):
    log = metrics_log.MetricsLog(tmp_path, 0)
    log.write(
        {
            "step": 1,
            "split": "train",
            "metrics": {"auc": float("nan"), "x": 0.5},
        }
    )
    log.close()
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line == {
        "step": 1,
        "split": "train",
        "metrics": {"auc": None, "x": 0.5},
    }


def test_resuming_drops_what_came_after_the_checkpoint(tmp_path):
    log = metrics_log.MetricsLog(tmp_path, 0)
    for step in (10, 20, 30):
        log.write({"step": step, "split": "train"})
    log.close()
    # As a kill in the middle of a line leaves it.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4')
    log = metrics_log.MetricsLog(tmp_path, 20)
    log.write({"step": 25, "split": "train"})
    log.close()
    steps = [line["step"] for line in metrics_log.load_metrics(tmp_path)]
    assert steps == [10, 20, 25]


@pytest.mark.parametrize(
    "line",
    [
        "[1, 2]",
        "7",
        "null",
        '{"loss": 1}',
        '{"step": "many"}',
        '{"step": 1}',
        '{"step": true, "split": "train"}',
        '{"step": -1, "split": "train"}',
        '{"step": 1%s, "split": "train"}' % ("0" * 400),
        "not JSON",
        "[" * 100_000,
    ],
)
def test_a_line_that_is_no_record_is_named_and_blocks_nothing(
    tmp_path, caplog, line
):
    path = tmp_path / "metrics.jsonl"
    kept = [{"step": step, "split": "train"} for step in (1, 2)]
    path.write_text("\n".join([json.dumps(kept[0]), line, json.dumps(kept[1])]))
    with caplog.at_level("WARNING"):
        log = metrics_log.MetricsLog(tmp_path, 2)
        log.close()
    assert f"Left out line 2 of {path}" in caplog.text
    assert metrics_log.load_metrics(tmp_path) == kept


def test_a_line_of_other_bytes_blocks_nothing(tmp_path):
    line = b'{"step": 2, "split": "train"}'
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\x00\n" + line + b"\n")
    assert metrics_log.load_metrics(tmp_path) == [json.loads(line)]


def test_who_starts_over_says_what_goes(tmp_path, caplog):
    log = metrics_log.MetricsLog(tmp_path, 0)
    log.write({"step": 40, "split": "train"})
    log.close()
    assert not caplog.text
    metrics_log.MetricsLog(tmp_path, 0).close()
    assert "goes to step 40, and there is no checkpoint" in caplog.text


def test_a_folder_without_metrics_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        metrics_log.load_metrics(tmp_path)


def test_a_log_goes_back_with_the_run(tmp_path):
    # A kind of fault: what was lost and done again was told twice, where the
    # process that writes the log is not the one that died.
    log = metrics_log.MetricsLog(tmp_path, 0)
    for step in (4, 8, 12):
        log.write({"step": step, "split": "train"})
    log.go_back(8)
    assert log.lines_of(8) == [{"step": 8, "split": "train"}]
    log.write({"step": 12, "split": "train", "again": True})
    log.close()
    lines = metrics_log.load_metrics(tmp_path)
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert lines[-1]["again"]


def test_a_byte_order_mark_takes_no_line(tmp_path):
    line = {"step": 1, "split": "train"}
    (tmp_path / metrics_log.FILE).write_text(json.dumps(line), "utf-8-sig")
    assert metrics_log.load_metrics(tmp_path) == [line]
