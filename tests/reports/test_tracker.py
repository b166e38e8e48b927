"""Scalars in a tracker: MLflow's own client, a stand-in of W&B's."""

import importlib.util
import json
import sys
import types

import pytest

from mtssl_tf.reports import run_log
from mtssl_tf.reports import tracker


class _Run:
    """What `wandb.init` gives, as far as it is used (wandb 0.31)."""

    def __init__(self, id):
        self.id = id or "made"
        self.metrics, self.logged, self.is_finished = [], [], False

    def define_metric(self, name, step_metric=None):
        self.metrics.append((name, step_metric))

    def log(self, data, step=None, commit=None):
        if any(value > 100 for value in data.values()):
            raise ConnectionError("the server is gone")
        self.logged.append(data)

    def finish(self, exit_code=None):
        self.is_finished = True


@pytest.fixture
def wandb(monkeypatch):
    """A module with the function that is called; its runs in `runs`."""
    module = types.ModuleType("wandb")
    module.runs = []

    def init(project, name, dir, id, resume, config):
        assert resume == "allow"
        if project == "forbidden":
            raise PermissionError("not logged in\nsee the docs")
        run = _Run(id)
        run.config, run.names = config, (project, name, dir)
        module.runs.append(run)
        return run

    module.init = init
    module.__spec__ = importlib.util.spec_from_loader("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_a_run_goes_on_where_it_was(tmp_path, wandb):
    for start in (0, 1):
        tracked = tracker.TrackedRun("wandb:birds", tmp_path, {"a": 1})
        tracked.write_scalars(start, "exemplar/train", {"loss": 2.0})
        tracked.write_scalars(start, "nothing", {"x": float("nan"), "y": None})
        tracked.close()
    first, second = wandb.runs
    assert first.id == second.id == "made" and first.is_finished
    assert first.config == {"a": 1}
    assert first.names == ("birds", tmp_path.name, str(tmp_path))
    assert second.logged == [{"step": 1, "exemplar/train/loss": 2.0}]
    assert ("*", "step") in first.metrics
    assert json.loads((tmp_path / tracker.FILE).read_text()) == {
        "wandb": "made"
    }


def test_a_server_that_goes_away_is_said_once(tmp_path, wandb, caplog):
    tracked = tracker.TrackedRun("wandb", tmp_path, {})
    for value in (1.0, 1000.0, 1000.0, 1.0):
        tracked.write_scalars(3, "a", {"loss": value})
    tracked.close()
    assert len(wandb.runs[0].logged) == 1
    assert caplog.text.count("the server is gone") == 1


def test_what_cannot_be_used_is_one_line(tmp_path, wandb, monkeypatch):
    with pytest.raises(ValueError, match="not logged in.*wandb login"):
        tracker.TrackedRun("wandb:forbidden", tmp_path, {})
    assert not (tmp_path / tracker.FILE).exists()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'mtssl_tf\[mlflow\]'"):
        tracker.check("mlflow")
    for spec in ("comet", "wandb:", ":x", "mlflowx"):
        with pytest.raises(ValueError, match=f"--track={spec} is not one of"):
            tracker.check(spec)


def test_mlflow_has_settings_and_metrics(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="no extra 'mlflow' here")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/server")
    settings = {f"train.s{number}": "x" * 600 for number in range(150)}
    workdir = tmp_path / "run"
    workdir.mkdir()
    for step in (0, 5):
        tracked = tracker.TrackedRun("mlflow:birds", workdir, settings)
        tracked.write_scalars(step, "exemplar/train", {"loss": 2.0 - step})
        tracked.close()
    run_id = json.loads((workdir / tracker.FILE).read_text())["mlflow"]
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED" and len(run.data.params) == 150
    history = client.get_metric_history(run_id, "exemplar/train/loss")
    assert [(each.step, each.value) for each in history] == [(0, 2), (5, -3)]


def test_a_run_log_fills_the_table_of_runs_and_the_tracker(tmp_path, wandb):
    from tensorboard.backend.event_processing import event_accumulator
    from tensorboard.plugins.hparams import metadata

    log = run_log.RunLog(tmp_path, 0)
    settings = {"train.steps": 3, "train.profile": (), "train.remat": True}
    log.describe(settings, ["exemplar/held_out/loss"], "wandb")
    log.write_event(2, "rank", {"rankme": 7.0, "spread": float("nan")})
    log.close()
    assert wandb.runs[0].logged == [{"step": 2, "rank/rankme": 7.0}]
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    table = events.PluginTagToContent(metadata.PLUGIN_NAME)
    session = metadata.parse_session_start_info_plugin_data(
        table[metadata.SESSION_START_INFO_TAG]
    )
    assert session.hparams["train.steps"].number_value == 3
    assert session.hparams["train.profile"].string_value == "()"
    assert session.hparams["train.remat"].bool_value
    experiment = metadata.parse_experiment_plugin_data(
        table[metadata.EXPERIMENT_TAG]
    )
    (figure,) = [each.name.tag for each in experiment.metric_infos]
    assert figure == "exemplar/held_out/loss"
