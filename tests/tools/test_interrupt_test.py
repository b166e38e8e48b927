"""The tool that presses Ctrl-C tells who ends soon and quietly from others."""

import pathlib

import pytest

from tools import interrupt_test
from tools import kill_digests
from tools import kill_test

_WAITS = """
import signal, sys, time
print("ready")
try:
    time.sleep({first})
except KeyboardInterrupt:
    {then}
"""


@pytest.mark.parametrize(
    "then, wrong",
    [
        ("sys.exit(130)", ""),
        ("time.sleep(2.5); sys.exit(130)", "exit code 130"),
        ("sys.exit(1)", "exit code 1"),
    ],
)
def test_who_ends_late_or_otherwise_is_named(
    tmp_path, then, wrong, monkeypatch
):
    monkeypatch.setattr(
        interrupt_test.random.Random, "uniform", lambda self, low, high: 1.0
    )
    scenario = kill_test.Scenario(
        "waits",
        lambda inputs, out: ("-c", _WAITS.format(first=3.0, then=then)),
        kill_digests.hash_files,
    )
    outcome = interrupt_test.interrupt(scenario, tmp_path, tmp_path, 1, 0)
    assert outcome.times == 1
    assert bool(outcome.wrong) == bool(wrong)
    assert wrong in interrupt_test.as_table([outcome])


@pytest.mark.long
def test_every_command_ends_soon_and_quietly(tmp_path):
    out = pathlib.Path(tmp_path)
    code = interrupt_test.main(["interrupt_test", f"--out={out}", "--times=2"])
    assert code == 0, (out / interrupt_test.RESULT_FILE).read_text()
