"""The progress line on a terminal and in a file."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from mtssl_tf.reports import progress

_STEPS = """
import time
from mtssl_tf.reports import progress

line = progress.ProgressLine(total=40, unit="steps", initial=20)
for step in range(21, 31):
    time.sleep(0.11)
    line.update(step, f"loss {step / 10:.1f}/5.7  " + "PADDING")
line.update(30, "judging")
line.finish("step 30: saved")
print("after", flush=True)
"""


def _on_terminal(code, columns):
    """Returns what a terminal of this width gets to see, as text."""
    ours, theirs = pty.openpty()
    size = struct.pack("HHHH", 24, columns, 0, 0)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = b""
    try:
        while data := os.read(ours, 65536):
            seen += data
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0, seen.decode()
    return seen.decode()


@pytest.mark.parametrize("columns", [0, 60, 100])
def test_a_terminal_has_one_line_with_bar_and_time_left(columns):
    seen = _on_terminal(_STEPS.replace("PADDING", "x" * 200), columns)
    *lines, after, rest = seen.split("\r\n")
    assert len(lines) == 1 and after == "after" and rest == ""
    drawn = [text.rstrip(" ") for text in lines[0].split("\r")]
    assert max(map(len, drawn)) == (columns or 80)  # cut, and not wrapped
    at_29 = next(text for text in drawn if "29/40" in text)
    # 10 of 20 steps in 1.1 s: about as much is left.
    start = r" 72%\|███████. +\| 29/40 steps, 00:0[0-4] left  "
    assert re.match(start + "loss 2.9/5.7  x", at_29)
    # What stands still shows its text as well; the end replaces it all.
    assert any("30/40" in text and "judging" in text for text in drawn)
    assert drawn[-1] == "step 30: saved"
    assert lines[0].count("\n") == 0


def test_a_shorter_line_leaves_nothing_of_the_longer_one():
    seen = _on_terminal(_STEPS.replace("PADDING", "long"), 100)
    columns = [" "] * 100
    for text in seen.split("\r\n")[0].split("\r"):
        columns[: len(text)] = text
    assert "".join(columns).rstrip() == "step 30: saved"


def _in_file(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_a_log_file_has_the_first_line_and_the_last():
    first, last = _in_file(_STEPS.replace("PADDING", "x")).splitlines()
    assert re.fullmatch(r"21/40 steps, 00:\d\d left  loss 2.1/5.7  x", first)
    assert last == "step 30: saved"


def test_a_log_file_has_a_line_now_and_then():
    often = "progress._LOG_FILE_INTERVAL_S = 0.3\nline = progress"
    code = _STEPS.replace("PADDING", "x").replace("line = progress", often)
    *lines, last = _in_file(code).splitlines()
    assert 3 <= len(lines) <= 8
    assert all("/40 steps, 00:0" in line for line in lines)


@pytest.mark.parametrize("show", [_on_terminal, lambda code, _: _in_file(code)])
def test_who_asks_before_has_the_same_lines(show):
    code = (
        "import time\n"
        "from mtssl_tf.reports import progress\n"
        "line = progress.ProgressLine(total=400, unit='steps')\n"
        "for step in range(1, 301):\n"
        "    time.sleep(0.001)\n"
        "    if line.is_due(): line.update(step, f'loss {step}')\n"
        "line.finish('done')\n"
    )
    seen = show(code, 80)
    assert 1 <= seen.count("loss") <= 40
    assert seen.rstrip().endswith("done")


@pytest.mark.parametrize("loss", ["closed", "full", "gone"])
def test_who_reads_no_more_ends_nothing(loss):
    # A kind of fault: a guest ends the house: training behind `2>&1 | head`,
    # or in a terminal that was closed, ended unsaved at its next line.
    code = _STEPS.replace("PADDING", "x").replace(
        "for step", "import os, sys; " + _LOSSES[loss] + "\nfor step", 1
    )
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs
    )
    os.close(ours)
    os.close(theirs)
    assert done.stdout == b"after\n"


_LOSSES = {
    "closed": "sys.stderr.close()",
    "full": "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)",
    "gone": "r, w = os.pipe(); os.close(r); os.dup2(w, 2)",
}


def test_what_goes_back_is_no_error():
    code = (
        "from mtssl_tf.reports import progress\n"
        "line = progress.ProgressLine(total=40, unit='steps')\n"
        "for step in (0, 30, 20, 40, 50): line.update(step, 'text')\n"
        "line.finish('done')\n"
    )
    assert _on_terminal(code, 80).endswith("done\r\n")
    assert _in_file(code).endswith("text\ndone\n")


def test_without_an_end_nobody_knows_what_is_left(capsys):
    # A kind of fault: "1/? steps, 00:00 left" of a run of hours.
    line = progress.ProgressLine(None, "steps")
    line.update(1)
    line.update(1, "loss 1.0")  # what stands still is drawn at once
    assert "1/? steps, ? left  loss 1.0" in capsys.readouterr().err
    line.expect(1000)
    line._rare._next_time = 0.0
    line.update(1)
    assert re.search(r"1/1000 steps, \S+ left", capsys.readouterr().err)
