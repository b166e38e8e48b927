"""What every command does with flags, mistakes, faults and signals.

Kinds of fault: an error of a class that nobody had thought of reached the
user raw; one command's copy of this knew a mistake less than another's.
"""

import ast
import errno
import os
import pathlib
import signal
import subprocess
import sys
import time

from absl import flags
import pytest
import tensorflow as tf

from mtssl_tf.process import command
from mtssl_tf.process import stop_signal

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_COMMANDS = [
    path
    for folder in ("mtssl_tf", "evaluation", "tools")
    for path in sorted((_ROOT / folder).rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text()
    and path.name != "launch.py"  # says one line, and imports nothing
]


def _run(argv, work=lambda values: None):
    values = flags.FlagValues()
    flags.DEFINE_integer("seed", 0, "Of all.", 0, flag_values=values)
    flags.DEFINE_float("share", 0.5, "Of tea.", 0.0, flag_values=values)
    command.define_path("out", "", "Folder.", values)
    return command.run("toy", "What toy does.", values, ["toy", *argv], work)


def _raise(error):
    def work(values):
        raise error

    return work


def test_help_says_what_the_command_does(capsys):
    assert _run(["--help"]) == _run(["-h"]) == 0
    said = capsys.readouterr().out
    assert "What toy does." in said and "--out" in said


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--sede=1"], "sede"),
        (["stray"], "only flags here, got ['stray']"),
        (["--seed=-1"], "seed"),
        (["--share=nan"], "--share=nan must be finite"),
        (["--share=inf"], "--share=inf must be finite"),
        (["--out=~nobody_of_this_name/x"], "~nobody_of_this_name/x"),
        # Kind of fault: what was asked for is left undone without a word.
        (["--out="], "--out= names nothing"),
        (["--out", ""], "--out= names nothing"),
    ],
)
def test_a_mistaken_command_line_is_one_line(argv, said, capsys):
    assert _run(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith("toy: ") and said in error
    assert error.count("\n") == 1


def test_flags_of_paths_know_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    found = []
    _run(["--out=~/exp[1]"], lambda values: found.append(values.out))
    assert found == [f"{tmp_path}/exp[1]"]


def _fail_in_a_pipeline(error):
    def fail(_):
        raise error

    dataset = tf.data.Dataset.range(1).map(
        lambda x: tf.py_function(fail, [x], tf.int64)
    )
    list(dataset)


def _from_a_pipeline(error):
    try:
        _fail_in_a_pipeline(error)
    except tf.errors.OpError as found:
        return found
    raise AssertionError


@pytest.mark.parametrize(
    "error, said",
    [
        (ValueError("no such tea"), "no such tea"),
        (FileNotFoundError("no such tea"), "no such tea"),
        (FloatingPointError("tea is nan"), "tea is nan"),
        (ArithmeticError("tea differs"), "tea differs"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/tea"),
            "/tea: No space left on device. Free some space",
        ),
        (PermissionError(errno.EACCES, "Permission denied", b"/t\xff"), "/t"),
        (ValueError("two\nlines"), "two lines"),
        (SystemExit("another's program ends"), "another's program ends"),
        (MemoryError(), "Not enough memory. Lower batch_size"),
        (
            ModuleNotFoundError("No module named 'tea'", name="tea.pot"),
            "'tea' is not installed",
        ),
        (tf.errors.NotFoundError(None, None, "/tea; No such file"), "/tea"),
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
            "batch_size. OOM",
        ),
        (tf.errors.DataLossError(None, None, "/tea is damaged"), "/tea is da"),
        (_from_a_pipeline(OSError(5, "bad tea", "/tea")), "bad tea: '/tea'"),
        (_from_a_pipeline(ValueError("cold tea")), "cold tea"),
        (_from_a_pipeline(UnicodeError("odd tea")), "odd tea"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_users_mistake_is_one_line(error, said, capsys):
    assert _run([], _raise(error)) == 2
    line = capsys.readouterr().err
    assert line.startswith("toy: ") and said in line, line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("division by zero"),
        KeyError("tea"),
        TypeError("tea"),
        tf.errors.InvalidArgumentError(None, None, "shapes differ"),
        _from_a_pipeline(KeyError("tea")),
        _from_a_pipeline(ZeroDivisionError("division by zero")),
        ModuleNotFoundError("No module", name="mtssl_tf.tea"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fault_of_ours_is_shown_whole_with_where_to_report(error, capsys):
    assert _run([], _raise(error)) == 1
    said = capsys.readouterr().err.rstrip().splitlines()
    assert said[0].startswith("Traceback")
    assert said[-1].startswith("toy: This is a fault of mtssl_tf")
    assert "bug_report.md" in said[-1]
    assert (_ROOT / ".github/ISSUE_TEMPLATE/bug_report.md").is_file()


def test_a_signal_ends_the_command_as_a_shell_reports_it(
    capsys, signal_handlers
):
    def work(values):
        stop = stop_signal.StopSignal()
        signal.raise_signal(signal.SIGTERM)
        raise command.Interrupted(stop, "and saved at step 2")

    assert _run([], work) == 128 + signal.SIGTERM
    said = capsys.readouterr().err
    assert "toy: stopped by SIGTERM and saved at step 2; the same comm" in said


_STOPPED = """
import time
from mtssl_tf.process import end_signals
end_signals.take()
from mtssl_tf.process import command

def work():
    print("ready", flush=True)
    {work}

command.end(command.call("toy", work))
"""
# What a signal may meet: an `except` that takes all, as imports have it, a
# thread that nobody ends, a destructor, where nothing can be raised.
_WORK = {
    "python": "while True: time.sleep(0.01)",
    "swallowed": """
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass""",
    "thread": """
    import threading
    threading.Thread(target=time.sleep, args=[60]).start()
    time.sleep(60)""",
    "destructor": """
    class Noisy:
        def __del__(self):
            time.sleep(0.01)
    while True: Noisy()""",
}


@pytest.mark.parametrize(
    "work", ["python", "swallowed", "thread", "destructor"]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_soon_and_quietly(work, number):
    process = subprocess.Popen(
        [sys.executable, "-c", _STOPPED.format(work=_WORK[work])],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    # Where it waits for what it stops, a minute.
    assert time.monotonic() - start < 10
    assert process.returncode == 128 + number
    assert "Traceback" not in said and "Exception" not in said, said


_IMPORTING = """
import os, runpy, signal, sys
module, command = sys.argv[1:]
class Finder:
    def find_spec(name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
sys.argv[1:] = ["--help"]
runpy.run_module(command, run_name="__main__", alter_sys=True)
"""


def _run_python(code, *arguments):
    """Runs code as a command of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "command_name, module",
    [
        ("mtssl_tf.train", "absl.flags"),
        ("mtssl_tf.masks", "json"),
        ("evaluation.imagenet_linear", "numpy"),
        ("evaluation.nyu_depth", "evaluation.depth.config"),
    ],
)
def test_a_signal_while_a_command_is_imported_is_quiet(command_name, module):
    done = _run_python(_IMPORTING, module, command_name)
    assert (done.returncode, done.stderr) == (130, "")


def _run_bash(line):
    return subprocess.run(
        line,
        shell=True,
        executable="/bin/bash",
        cwd=_ROOT,
        capture_output=True,
        text=True,
    )


def test_a_reader_that_has_enough_is_no_fault():
    done = _run_bash(
        f"{sys.executable} -c '{_PRINTS}' | head -1; echo ${{PIPESTATUS[0]}}"
    )
    assert done.stdout.split() == ["0", "141"] and not done.stderr


_HELPS = """
import sys
from absl import flags
from mtssl_tf.process import command
values = flags.FlagValues()
command.end(command.run("toy", "x" * 10**6, values, sys.argv, lambda _: 0))
"""


@pytest.mark.parametrize(
    "to, code, said",
    [
        ("| head -c1", 141, ""),
        ("> /dev/full", 2, "toy: No space left on device. Free some space"),
        ("2>&- >/dev/null", 0, ""),
        (">&-", 0, ""),
    ],
)
def test_help_goes_where_all_output_does(to, code, said):
    # A kind of fault: written or flushed where nobody catches what it raises.
    done = _run_bash(
        f"{sys.executable} -c '{_HELPS}' --help {to}; exit ${{PIPESTATUS[0]}}"
    )
    assert done.returncode == code
    assert done.stderr.startswith(said) and done.stderr.count("\n") <= 1


def test_a_closed_standard_error_is_no_fault(tmp_path):
    # A kind of fault: Python has None for it, and files take its number.
    code = (
        "import sys\n"
        "from absl import logging\n"
        "from mtssl_tf.process import command\n"
        "from mtssl_tf.reports import progress\n"
        "def work():\n"
        "    line = progress.ProgressLine(2, 'steps')\n"
        "    with open(sys.argv[1], 'w') as file:\n"
        "        logging.warning('a')\n"
        "        line.update(1)\n"
        "        line.finish('b')\n"
        "        file.write('whole')\n"
        "command.end(command.call('toy', work))\n"
    )
    file = tmp_path / "file"
    done = subprocess.run(
        f'{sys.executable} -c "{code}" {file} 2>&-', shell=True, cwd=_ROOT
    )
    assert done.returncode == 0 and file.read_text() == "whole"


_PRINTS = """
from mtssl_tf.process import command
def work():
    for n in range(10**6): print(n, flush=True)
command.end(command.call("toy", work))
"""


@pytest.mark.parametrize("path", _COMMANDS, ids=lambda path: path.stem)
def test_every_command_has_signals_flags_and_exit_codes_from_here(path):
    # A kind of fault: each command had its own, and one knew less.
    text = path.read_text()
    calls = [
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
    ]
    assert "end_signals.take" in calls
    assert any(
        name.endswith("command.end") or name == "command_lib.end"
        for name in calls
    )
    assert not {"app.run", "sys.exit", "argparse.ArgumentParser"} & set(calls)


_FORKS = """
import os, signal, time
from mtssl_tf.process import end_signals
end_signals.take()
child = os.fork()
if not child:
    time.sleep(30)
    os._exit(0)
os.kill(child, signal.SIGTERM)
_, status = os.waitpid(child, 0)
time.sleep(2.0)
print("lives", os.WTERMSIG(status))
"""


def test_a_signal_to_a_forked_child_is_the_childs_alone():
    # A kind of fault: what a fork shares. Its pool ended, and the command too.
    done = _run_python(_FORKS)
    assert (done.returncode, done.stdout) == (0, "lives 15\n"), done.stderr


_FORKS_DEAF = """
import os, signal
from mtssl_tf.process import end_signals
from mtssl_tf.process import signal_mask
end_signals.take()
def is_deaf():
    return signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, ())
with signal_mask.blocked(signal.SIGTERM):
    child = os.fork()
    if not child:
        os._exit(is_deaf())
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), is_deaf(), end=" ")
print(is_deaf())
"""


def test_who_is_deaf_when_it_forks_stays_so_and_its_child_too():
    # A kind of fault: state put back to what it mostly is, not to what it was.
    # Ray's processes heard a SIGTERM to the group of a run that was saving.
    done = _run_python(_FORKS_DEAF)
    assert done.stdout == "1 True False\n", done.stderr


def test_exit_codes_are_those_that_the_readme_names():
    text = (_ROOT / "README.md").read_text()
    assert "exit code" in text.lower()
    for code in (command.EXIT_USER_ERROR, command.EXIT_FAULT):
        assert f"`{code}`" in text
    assert os.name == "posix"
