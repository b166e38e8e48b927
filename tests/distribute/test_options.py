"""What a cluster is asked for, and what it cannot be asked for."""

import pathlib
import subprocess
import sys
import time

import class_folder_pictures
import pytest

from mtssl_tf import config as config_lib
from mtssl_tf.distribute import options

_REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
_TASKS = ("colorization", "exemplar")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2", {"colorization": (2, 2), "exemplar": (2, 2)}),
        ("1-4", {"colorization": (1, 4), "exemplar": (1, 4)}),
        ("exemplar:1-4", {"colorization": (1, 1), "exemplar": (1, 4)}),
        (
            "colorization:2,exemplar:3",
            {"colorization": (2, 2), "exemplar": (3, 3)},
        ),
    ],
)
def test_workers_are_read(text, expected):
    workers = options.parse_workers(text, _TASKS)
    assert expected == {n: (w.least, w.most) for n, w in workers.items()}


def test_a_picture_is_not_cut_in_two():
    config = config_lib.override(
        config_lib.preset_config("tiny", ["colorization"]),
        "colorization.patches_per_picture=16",
    )
    two = {"colorization": options.WorkerRange(2, 2)}
    options.check_fits(options.ClusterOptions("local", two), config)
    four = {"colorization": options.WorkerRange(4, 4)}
    with pytest.raises(ValueError, match="32 of 2 pictures .* over 4 to 4"):
        options.check_fits(options.ClusterOptions("local", four), config)


@pytest.mark.parametrize("mode, parts", [("hybrid", 1), ("asynchronous", 3)])
def test_a_blind_guess_is_among_what_is_compared(mode, parts):
    # Kind: a loss beside the blind guess of another batch than its own.
    chosen = options.ClusterOptions(
        "local", {"contrastive": options.WorkerRange(1, 4)}, mode=mode
    )
    assert chosen.num_parts("contrastive", 30) == parts


def test_sizes_divide_the_batch_the_largest_first():
    assert options.WorkerRange(1, 5).sizes(12) == [4, 3, 2, 1]
    assert options.WorkerRange(5, 5).sizes(12) == []


@pytest.mark.parametrize(
    "text, message",
    [
        ("0", "'0' is no number"),
        ("colorization:0", "'0' is no number"),
        ("colorization:", "'' is no number"),
        ("4-2", "'4-2' is no number"),
        ("colorization:two", "'two' is no number"),
        ("motion:2", "'motion' is not trained.*colorization, exemplar"),
        ("colorization:2,3", "'3' is not trained"),
        ("colorization:2,colorization:1", "names colorization twice"),
        ("1-1000000000000", "is no number of workers, from 1 to 1024"),
    ],
)
def test_workers_that_are_none_are_refused(text, message):
    with pytest.raises(ValueError, match=f"--workers={text}.* {message}"):
        options.parse_workers(text, _TASKS)


@pytest.mark.parametrize(
    "address", ["local", "auto", "h1:6379", "10.0.0.1:1", "[fe80::1]:6379"]
)
def test_addresses_are_taken(address):
    options.ClusterOptions(address, {})


@pytest.mark.parametrize(
    "address", ["h1", "h1:", "h1:0", "h1:65536", "http://h1:6379"]
)
def test_addresses_that_are_none_are_refused(address):
    with pytest.raises(ValueError, match=f"--cluster={address} is not"):
        options.ClusterOptions(address, {})


@pytest.mark.parametrize("mode", ["synchronous", "turns"])
def test_nobody_runs_ahead_where_all_wait(mode):
    with pytest.raises(ValueError, match=f"--overlap.*--mode={mode}"):
        options.ClusterOptions("local", {}, mode=mode, use_overlap=True)


@pytest.mark.parametrize(
    "changes, assignment, message",
    [
        ({}, "exemplar.batch_size=31", "exemplar.batch_size=31.*2 to 2"),
        ({}, "train.freeze_trunk=true", "freeze_trunk"),
        ({}, "train.xla=always", "train.xla=always is for one machine"),
        ({}, "train.probe=folder", "--probe is for one machine"),
        ({}, "train.hours=1", "--hours is for one machine"),
        ({"mode": "asynchronous"}, "train.use_lasso=true", "asynchronous"),
    ],
)
def test_settings_that_a_cluster_cannot_run_are_refused(
    changes, assignment, message
):
    workers = options.parse_workers("exemplar:2", _TASKS)
    cluster = options.ClusterOptions("local", workers, **changes)
    config = config_lib.preset_config("tiny", list(_TASKS))
    options.check_fits(cluster, config)
    with pytest.raises(ValueError, match=message):
        options.check_fits(cluster, config_lib.override(config, assignment))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--cluster=local", "--workers=colorization:0"], "'0' is no number"),
        (["--cluster=local", "--workers=jigsaw:1"], "'jigsaw' is not trained"),
        (["--cluster=local", "--workers=3"], "batch_size=32 cannot be divided"),
        (["--cluster=two"], "--cluster=two is not local, auto or HOST:PORT"),
        (["--cluster=127.0.0.1:1"], "127.0.0.1:1: no Ray answers there"),
        (["--workers=2"], "--workers is for --cluster"),
    ],
)
def test_a_mistake_is_one_line_within_seconds(arguments, message, tmp_path):
    images = class_folder_pictures.save_class_folders(tmp_path / "images", 1)
    start = time.monotonic()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mtssl_tf.train", "--tasks=colorization"),
            *(f"--workdir={tmp_path / 'run'}", f"--images={images}"),
            *arguments,
        ],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert time.monotonic() - start < 10.0


@pytest.mark.parametrize(
    "flags, workers, message",
    [
        ({}, 4, None),
        ({}, 8, "8 workers of colorization have 1 of its 8 pictures"),
        ({"mode": "asynchronous"}, 4, "4 workers of exemplar have 2 .* 4 or"),
    ],
)
def test_halves_of_a_workers_part(flags, workers, message):
    config = config_lib.override(
        config_lib.preset_config("tiny", _TASKS),
        "train.weighting=gradient_consistency",
        "colorization.batch_size=8",
        "exemplar.batch_size=8",
    )
    asked = dict.fromkeys(_TASKS, options.WorkerRange(workers, workers))
    cluster = options.ClusterOptions("local", asked, **flags)
    if message is None:
        options.check_fits(cluster, config)
        return
    with pytest.raises(ValueError, match=message):
        options.check_fits(cluster, config)
