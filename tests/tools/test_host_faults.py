"""A cluster loses hosts, links and processes, and its run ends the same."""

import json

import hosts as hosts_lib
import pytest

from tools import host_faults


def test_without_hosts_one_line_says_what_to_give(tmp_path, capsys):
    assert host_faults.main(["host_faults", f"--out={tmp_path}"]) == 2
    assert "Give --hosts=SCRIPT" in capsys.readouterr().err


def test_the_table_says_what_came_of_each():
    outcomes = [
        host_faults.Outcome("host", ["h2, after 3 s"] * 2, restarts=1),
        host_faults.Outcome("link", ["h2 for 9 s, after 1 s"], differing=["a"]),
        host_faults.Outcome("process", ["coordinator"], failed=["x: code 1"]),
    ]
    table = host_faults.as_table(outcomes).splitlines()
    assert table[2] == "| host | 2 | 1 | equal to the bit |"
    assert table[3] == "| link | 1 | 0 | 1 differ: ['a'] |"
    assert table[4] == "| process | 1 | 0 | x: code 1 |"


@pytest.mark.long
def test_a_run_loses_each_of_them(tmp_path):
    """Takes about 10 minutes on two cores."""
    arguments = [f"--hosts={hosts_lib.script()}", f"--out={tmp_path}"]
    code = host_faults.main(["host_faults", *arguments, "--times=1"])
    found = json.loads((tmp_path / host_faults.RESULT_FILE).read_text())
    assert [each["name"] for each in found] == ["host", "link", "process"]
    assert code == 0, found
