"""Whole clusters on loopback, run by `distribute_scenarios.py`."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

_SCRIPT = (
    pathlib.Path(__file__).parents[1] / "fixtures" / "distribute_scenarios.py"
)
_QUICK = ["workers_frozen", "turns", "never_starts", "deserted"]
_LONG = [
    "workers_synchronized",
    "elastic",
    "asynchronous",
    "calibration",
    "faults",
    "disk_full",
]
COLOR, POSITION = "colorization", "relative_position"


@pytest.fixture(scope="module")
def run_scenarios(tmp_path_factory):
    """Runs all scenarios of a list at once, TensorFlow imported once."""
    out = tmp_path_factory.mktemp("clusters")

    def run(names):
        if not (out / f"{names[0]}.json").exists():
            environment = {
                **os.environ,
                "PYTHONPATH": str(_SCRIPT.parents[2]),
            }
            with (out / "log").open("a") as log:
                subprocess.run(
                    [sys.executable, str(_SCRIPT), str(out), *names],
                    env=environment,
                    stdout=log,
                    stderr=log,
                    timeout=3000,
                )
        return out

    return run


@pytest.fixture
def outcome(request, run_scenarios):
    name = request.param
    out = run_scenarios(_QUICK if name in _QUICK else _LONG)
    path = out / f"{name}.json"
    if not path.exists():
        pytest.fail((out / "log").read_text()[-3000:])
    result = json.loads(path.read_text())
    assert "error" not in result, result["error"]
    return result


def scenario(name):
    return pytest.mark.parametrize("outcome", [name], indirect=True)


def said(outcome):
    return "\n".join(line for run in outcome["runs"] for line in run["said"])


def check_codes(outcome, *codes):
    assert [run["code"] for run in outcome["runs"]] == list(codes), said(
        outcome
    )


@scenario("workers_frozen")
def test_two_workers_end_where_one_ends(outcome):
    check_codes(outcome, 0, 0)
    assert outcome["difference"] < 1e-5, outcome["name"]
    assert outcome["count"] > 50


@pytest.mark.long
@scenario("workers_synchronized")
def test_two_workers_end_where_one_ends_with_synchronized_norms(outcome):
    check_codes(outcome, 0, 0)
    assert outcome["difference"] < 1e-5, outcome["name"]


@scenario("turns")
def test_a_scripted_order_of_commits_ends_where_one_process_ends(outcome):
    check_codes(outcome, 0)
    assert outcome["single"] == 0
    assert outcome["difference"] < 1e-5, outcome["name"]


@scenario("never_starts")
def test_a_role_that_never_starts_is_named(outcome):
    check_codes(outcome, 2)
    assert f"{COLOR}/1 did not start" in said(outcome)


@scenario("deserted")
def test_a_worker_whose_peer_never_connects_ends(outcome):
    assert outcome["codes"] == [-signal.SIGALRM] * 2


@pytest.mark.long
@scenario("elastic")
def test_the_number_of_workers_and_machines_may_change(outcome):
    check_codes(outcome, 0, 0)
    assert outcome["single"] == 0
    after_single, after_last = outcome["steps"]
    assert sum(after_single.values()) == 10
    assert sum(after_last.values()) >= 14


@pytest.mark.long
@scenario("asynchronous")
def test_asynchronous_workers_share_trunk_and_head(outcome):
    check_codes(outcome, 0)
    assert outcome["steps"] == {COLOR: 6}


@pytest.mark.long
@scenario("calibration")
def test_snapshots_are_named_by_what_they_cost(outcome):
    check_codes(outcome, 0, 0)
    assert set(outcome["seconds"]) == {COLOR, POSITION}
    assert min(outcome["seconds"].values()) > 0
    costs = [float(n.removeprefix("gpu_hours_")) for n in outcome["snapshots"]]
    assert costs == sorted(costs) and costs
    assert {"checkpoints", "config.json", "facts"} <= set(outcome["files"])


@pytest.mark.long
@scenario("faults")
def test_a_group_or_the_store_may_die_and_the_others_go_on(outcome):
    check_codes(outcome, 128 + 15)
    marks = dict(outcome["marks"][-1:])
    assert "SIGTERM" in marks, said(outcome)
    # What was saved is what was committed when all were told to stop.
    assert sum(outcome["steps"].values()) >= sum(marks["SIGTERM"].values())
    assert "that were made since are lost" in said(outcome)


@pytest.mark.long
@scenario("disk_full")
def test_a_full_disk_stops_all_with_one_message(outcome):
    check_codes(outcome, 2)
    assert "could not be written" in said(outcome)
