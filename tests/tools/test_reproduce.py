"""The command for the paper's tables: its plan, its table, its bad input."""

import json
import shlex
import signal
import subprocess
import sys
import time

import class_folder_pictures
import page_checker
import pages
import pytest

from mtssl_tf.process import gpus
from tools import reproduce
from tools.reproduction import begun
from tools.reproduction import plan

_SMALL = (
    "trunk.num_units=(1,1,2)",
    "trunk.width=0.125",
    "data.num_fit=8",
    "train.judge_batches=1",
)


def _call(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tools.reproduce", *arguments],
        capture_output=True,
        text=True,
    )


def test_a_dry_run_says_what_it_costs_and_does_nothing(tmp_path):
    out = tmp_path / "out"
    done = _call(
        f"--out={out}",
        "--images=pictures",
        "--train=train",
        "--test=test",
        "--only=table3",
        "--seeds=2",
        "--gpu_hours=0.5",
        "--dry_run",
    )
    assert done.returncode == 0, done.stderr
    assert "8 trunks, 0.5 GPU hours each: 4 GPU hours." in done.stdout
    assert "linear 8." in done.stdout
    assert "4 evaluations are left out without --voc." in done.stdout
    assert "runs/RP+Col-H/seed_1" in done.stdout
    assert not out.exists()


def test_the_command_of_its_page_is_planned(tmp_path):
    (block,) = pages.blocks(pages.ROOT / "docs" / "reproduce.md")
    words = shlex.split(block.text.replace("\\\n", ""))
    assert words[:3] == ["python", "-m", "tools.reproduce"]
    done = _call(*words[3:], "--dry_run")
    assert done.returncode == 0, done.stderr
    assert "39 trunks, 0.25 GPU hours each" in done.stdout
    assert "left out" not in done.stdout


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "--out is required"),
        (["--out=x"], "--train and --test, or --voc, or --depth"),
        (
            ["--out=x", "--train=a", "--test=b", "--images=c", "--seeds=1"]
            + ["--budget_hours=1.2", "--gpu_hours=0.5"],
            "over --budget_hours=1.2.",
        ),
        (["--out=x", "--only=table9"], "table9"),
        (
            ["--out=x", "--train=a", "--test=b", "--linear_flag=--set=x=1"],
            "--linear_flag=--set=x=1: Unknown command line flag 'set'",
        ),
        (
            ["--out=x", "--voc=a", "--train_flag=--stpes=4"],
            "--train_flag=--stpes=4: Unknown command line flag 'stpes'",
        ),
        (["--out=x", "--gpu_hours=nan"], "--gpu_hours=nan must be finite"),
        (["--out=x", "--seeds=100000000"], "seeds"),
        (
            ["--out=x", "--train=a", "--test=b", "--images=c"],
            "there is no folder c",
        ),
        (["--out=x", "--cluster=nowhere"], "--cluster=nowhere"),
        (["--out=x", "--cluster=local", "--jobs=2"], "--jobs=2 is for"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    done = _call(*arguments)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert message in line


@pytest.mark.parametrize(
    "kind, names",
    [
        ("linear", ("train", "test")),
        ("detection", ["voc"]),
        ("depth", ["depth"]),
    ],
)
def test_data_that_cannot_be_read_are_found_first(tmp_path, kind, names):
    # A kind of fault: what is wrong with the data is told after the training.
    out = tmp_path / "out"
    for name in names:
        (tmp_path / name).mkdir()
    done = _call(
        f"--out={out}", *(f"--{name}={tmp_path / name}" for name in names)
    )
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert f"For {kind}: " in line and str(tmp_path / names[0]) in line
    assert f"--{kind}_flag" in line and not out.exists()


def test_nothing_runs_beside_what_measures_seconds_per_step(tmp_path):
    values = reproduce.define_flags()
    values(
        ["", f"--out={tmp_path}", "--images=a", "--train=b", "--test=c"]
        + ["--only=table1", "--seeds=1"]
    )
    first, second, *others = reproduce._jobs(reproduce._plan(values))
    assert "--images=a" in first.command() and not first.needs
    assert "--images=b" in second.command() and second.needs == (first.name,)
    names = {job.name for job in others}
    assert all(set(job.needs) & {second.name, *names} for job in others)


def _plan_of_table_3(out):
    values = reproduce.define_flags()
    values(
        ["", f"--out={out}", "--images=a", "--train=b", "--test=c"]
        + ["--only=table3", "--seeds=1", "--costs=d"]
    )
    return reproduce._plan(values)


def _mark_done(out, name, seconds):
    mark = out / "done" / f"{name}.json"
    mark.parent.mkdir(parents=True)
    mark.write_text(json.dumps({"wall_time_s": seconds}))


def test_runs_that_nobody_reads_any_more_may_be_gone(tmp_path):
    # They are large, and results small: those alone go to another machine.
    work = _plan_of_table_3(tmp_path)
    names = [job.name for job in reproduce._jobs(work)]
    done, *others = [name for name in names if name.startswith("results/")]
    _mark_done(tmp_path, done, 1.0)
    run = done.replace("results/", "runs/").removesuffix("/linear")
    left = [job.name for job in reproduce._jobs(work)]
    assert left == [name for name in names if name not in (done, run)]
    assert others == [name for name in left if name.startswith("results/")]


def test_what_is_done_tells_how_long_the_rest_takes(tmp_path):
    work = _plan_of_table_3(tmp_path)
    jobs = reproduce._jobs(work)
    assert not list(reproduce._describe_rest(work, jobs))
    results = [job.name for job in jobs if job.name.startswith("results/")]
    for name, seconds in zip(results, (600.0, 3000.0)):
        _mark_done(tmp_path, name, seconds)
    done, rest = reproduce._describe_rest(work, reproduce._jobs(work))
    assert done == "Done: linear 2 (1800 s each)."
    # Two of table 3's four rows, half an hour each.
    assert rest == (
        "At that pace 1 h are left, one at a time, without those of train."
    )


def test_what_was_begun_is_not_taken_for_another(tmp_path):
    # A kind of fault: results that are there, of other settings.
    def options(**changes):
        return plan.Options(
            **{"out": tmp_path, "preset": "tiny", "gpu_hours": 0.5} | changes
        )

    sources = plan.Sources(images="a", train="b")
    begun.check(options(), sources)
    begun.save(options(), sources)
    begun.check(options(seeds=3, costs="c.json"), sources)
    for changes, said in (
        ({"gpu_hours": 5.0}, "gpu_hours=0.5"),
        ({"preset": "small"}, "preset='tiny'"),
        ({"flags": {"train": ("--set=a.b=1",)}}, "flags={}"),
    ):
        with pytest.raises(ValueError, match=f"begun with {said}"):
            begun.check(options(**changes), sources)
    # Data may come later, or be away for once; others are another's.
    later = plan.Sources(images="a", voc="c")
    begun.check(options(), later)
    begun.save(options(), later)
    for name, was in (("images", "a"), ("train", "b"), ("voc", "c")):
        with pytest.raises(ValueError, match=f"begun with --{name}={was}"):
            begun.check(options(), plan.Sources(**{name: "other"}))


def test_commands_at_a_time_have_a_gpu_each_or_are_refused(monkeypatch):
    monkeypatch.setattr(gpus, "names", lambda: ["0", "1"])
    assert reproduce._gpus_of_each(1) == []  # it has them all
    assert reproduce._gpus_of_each(2) == ["0", "1"]
    with pytest.raises(ValueError, match="--jobs=3 needs a GPU for each.* 2"):
        reproduce._gpus_of_each(3)
    monkeypatch.setattr(gpus, "names", lambda: [])
    assert reproduce._gpus_of_each(3) == []


def test_a_budget_says_what_would_fit():
    values = reproduce.define_flags()
    values(
        ["", "--out=x", "--images=a", "--train=b", "--test=c", "--seeds=1"]
        + ["--gpu_hours=1"]
    )
    work = reproduce._plan(values)
    with pytest.raises(ValueError, match="--only=table1 takes 4. Fewer"):
        reproduce._check_budget(work, 4.0)
    reproduce._check_budget(work, work.hours())


@pytest.mark.long
def test_a_table_is_filled_and_goes_on_where_it_was_stopped(tmp_path):
    """Four runs of some steps, stopped once and ended on a cluster."""
    folders = class_folder_pictures.save_class_folders(tmp_path / "c", 8)
    tested = class_folder_pictures.save_class_folders(tmp_path / "t", 8, seed=1)
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "tools.reproduce",
        *("--only=table3", "--seeds=1"),
        *(f"--{name}={folders}" for name in ("images", "train")),
        f"--test={tested}",
        "--gpu_hours=0.0005",
        *(f"--train_flag=--set={each}" for each in _SMALL),
        "--linear_flag=--epochs=1",
        f"--out={out}",
    ]
    first = subprocess.Popen([*command, "--jobs=2"])
    while not list(out.glob("done/runs/*/*.json")):
        time.sleep(0.5)
        assert first.poll() is None
    first.send_signal(signal.SIGINT)
    assert first.wait() == 130
    told = subprocess.run(
        [*command, "--cluster=local"], stdout=subprocess.PIPE, check=True
    ).stdout.splitlines()
    assert told[-1].endswith(b"has ended, 0 left.")
    text = (out / "report.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| RP")]
    assert len([row for row in rows if " (1) a |" in row]) == 4
    assert "missing: without --voc" in rows[0]
    assert (
        "Harmonized inputs help where weights are frozen: open; so in" in text
    )
    page_checker.PageChecker((out / "report.html").read_text()).check_alone()
    marks = {path: path.read_text() for path in out.glob("done/**/*.json")}
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "runs/" not in again.stderr
    assert marks == {path: path.read_text() for path in marks}
