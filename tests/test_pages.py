"""README.md and docs/: what they tell a user to type works, or ran somewhere.

A block of code is marked right above it, by a comment that no reader sees:

    <!-- run by tests/test_pages.py -->      a test, or a step of .ci
    <!-- ran: MACHINE, commit 0123abc -->    or a date: what no test can do
"""

import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys
import tarfile

import pages
import pytest

from mtssl_tf import config as config_lib
from mtssl_tf import tasks
from mtssl_tf.models import config as model_config
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.slim import checkpoint
from tools import kill_inputs

_BLOCKS = [block for page in pages.PAGES for block in pages.blocks(page)]
_OURS = f"tests/{pathlib.Path(__file__).name}"
_WHEN = r"\b(commit [0-9a-f]{7}\b|20\d\d-\d\d-\d\d)"


@pytest.mark.parametrize("block", _BLOCKS, ids=lambda b: f"{b.page}:{b.line}")
def test_a_block_says_who_runs_it_or_where_it_ran(block):
    assert block.language, "a fence names a language, `text` if it is none"
    if block.language == "text":
        return
    assert bool(block.run_by) != bool(block.ran), "one mark, see above"
    if block.ran:
        assert re.search(_WHEN, block.ran), "says neither commit nor date"
        return
    runner = pages.ROOT / block.run_by
    assert runner.is_file()
    name = pathlib.Path(block.page).name
    assert block.run_by == _OURS or name in runner.read_text(), (
        f"{block.run_by} does not read {name}"
    )


@pytest.mark.parametrize(
    "page", pages.PAGES, ids=lambda page: str(page.relative_to(pages.ROOT))
)
def test_a_command_stands_in_a_fence(page):
    assert pages.indented_commands(page) == []


def _flags_in_help(command, capsys):
    """Returns the flags that a command's --help lists."""
    main = importlib.import_module(command.module).main
    # Some mains get the program's name before all else, and skip it.
    arguments = [command.subcommand or command.module, "--help"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", arguments)
        is_given_them = bool(inspect.signature(main).parameters)
        try:
            main(*([arguments] if is_given_them else []))
        except SystemExit as ended:  # argparse's
            assert not ended.code
    listed = r"^\s+(?:-\w, )?--(?:\[no\])?(\w+)"
    return set(re.findall(listed, capsys.readouterr().out, re.M))


def test_every_flag_that_a_page_names_is_one(capsys):
    config = config_lib.preset_config("tiny", list(tasks.TASKS))
    known: dict[tuple[str, str], set[str]] = {}
    for page in (*pages.PAGES, *pages.OTHERS):
        for command in pages.commands(page):
            key = (command.module, command.subcommand)
            if command.flags and key not in known:
                known[key] = _flags_in_help(command, capsys)
            assert command.flags <= known.get(key, set()), (page, command)
            if command.module == "mtssl_tf.train":
                config_lib.override(config, *command.settings)
    assert len(known) > 20


_SMALL = """
case "$2" in
mtssl_tf.train)
  case "$*" in
  *--gpu_hours=*) set -- "${@/#--gpu_hours=*/--gpu_hours=0.0005}"
    set -- "${@/#--snapshot_every=*/--snapshot_every=0.0002}" ;;
  *--hours=*) set -- "${@/#--hours=*/--hours=0.01}" ;;
  *) set -- "$@" --steps=8 ;;
  esac
  set -- "$@" --set=train.judge_batches=1 --set=data.num_fit=8
  set -- "$@" --set='trunk.num_units=(1,1,2)' --set=trunk.width=0.125 ;;
evaluation.nyu_depth) set -- "$@" --preset=tiny --steps=4 ;;
evaluation.voc_detection)
  case "$*" in *--trunk*) set -- "$@" --preset=tiny --set=steps=4 ;; esac ;;
esac
case "$1" in examples/fine_tune.py) set -- "$@" --epochs=1 --seeds=1 ;; esac
"""
_STANDS_FOR_A_PATH = re.compile(r"--(\w+)=([^\s\]]*[A-Z]{2}[^\s\]]*)")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Folders by the flag that takes them."""
    folder = tmp_path_factory.mktemp("pages") / "inputs"
    kill_inputs.build(folder)
    return {
        "images": folder / "images",
        "videos": folder / "videos",
        "train": folder / "classes",
        "test": folder / "classes",
        "docs/nyu_depth.md": folder / "depth",
        "docs/voc_detection.md": folder / "voc",
    }


def _make_real(block: pages.Block, inputs: dict[str, pathlib.Path]) -> str:
    """Returns what to run: words in capitals are paths, no [--options]."""
    text = re.sub(r"\s*\\?\n?\s*\[[^\]]*--[^\]]*\]", "", block.text)

    def path(found: re.Match[str]) -> str:
        flag = block.page if found[1] == "data" else found[1]
        return f"--{found[1]}={inputs.get(flag) or found[2].split('|')[0]}"

    return _STANDS_FOR_A_PATH.sub(path, text)


def _save_programs(folder: pathlib.Path) -> None:
    """Writes `python` that does little, the console scripts, and `pip`."""
    folder.mkdir()
    ours = {"python": f'{_SMALL}exec {sys.executable} "$@"'}
    for name in ("doctor", "train", "export", "embed", "report"):
        ours[f"mtssl-{name}"] = f'exec python -m mtssl_tf.{name} "$@"'
    # What is installed already stays as it is.
    ours["pip"] = (
        f"cd {pages.ROOT}; what=$1; shift; "
        f'exec {sys.executable} -m pip "$what" -q --dry-run "$@"'
    )
    for name, text in ours.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (folder / name).chmod(0o755)


def _run(text: str, folder: pathlib.Path) -> None:
    environment = dict(os.environ)
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    environment["PYTHONPATH"] = str(pages.ROOT)
    environment["TF_CPP_MIN_LOG_LEVEL"] = "2"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def _save_published_checkpoint(folder: pathlib.Path) -> None:
    """Saves a `.tar.gz` such as a checkpoint is published in."""
    small = model_config.TrunkConfig(depth=50, width=0.125)
    checkpoint.save(trunk_lib.build_trunk(small), folder / "model.ckpt")
    with tarfile.open(folder / "model_release.tar.gz", "w:gz") as archive:
        for path in sorted(folder.glob("model.ckpt*")):
            archive.add(path, path.name)


@pytest.mark.long
@pytest.mark.parametrize(
    "page", sorted({b.page for b in _BLOCKS if b.run_by == _OURS})
)
def test_the_commands_of_a_page_run(page, inputs, tmp_path):
    """In the order of the page, in one folder, on few and small data."""
    _save_programs(tmp_path / "bin")
    (tmp_path / "examples").symlink_to(pages.ROOT / "examples")
    _save_published_checkpoint(tmp_path)
    (tmp_path / "DETECTIONS").mkdir()
    voc = pathlib.Path(inputs["docs/voc_detection.md"])
    split = voc.joinpath("ImageSets", "Main", "test.txt")
    name = split.read_text().split()[0]
    (tmp_path / "DETECTIONS" / "comp4_det_test_cat.txt").write_text(
        f"{name} 0.9 10 10 50 50\n"
    )
    _run(_GIVEN.format(**inputs), tmp_path)
    for block in pages.blocks(pages.ROOT / page):
        if block.run_by != _OURS:
            continue
        text = _make_real(block, inputs)
        if block.language == "python":
            text = f"python - <<'EOF'\n{_PYTHON}{text}\nEOF"
        _run(text, tmp_path)


# What pages take for granted.
_GIVEN = """
python -m mtssl_tf.train --tasks=exemplar --lasso --images={images} \\
    --workdir=RUN
python -m mtssl_tf.export --workdir=RUN --out=EXPORT
"""
_PYTHON = "import numpy as np\npictures = np.zeros([2, 64, 64, 3], np.uint8)\n"
