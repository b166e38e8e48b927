"""Readers of ours stand a few hundred broken files; `tools.fuzz` gives more."""

import json
import subprocess
import sys

import each_change
import pytest

from tools import fuzz

pytest.importorskip("atheris", reason="the extra `test` has it")


@pytest.mark.parametrize(
    "reader",
    each_change.only(
        "archive",
        of=[
            *("voc_xml", "detections", "nyu_mat"),
            *("config_json", "metrics_lines", "archive"),
        ],
    ),
)
def test_a_few_hundred_broken_files_are_refused(reader, tmp_path):
    # From a small process: at its start a child has the largest memory that
    # its parent ever had for its own, and libFuzzer bounds that.
    code = subprocess.call(
        [sys.executable, "-m", "tools.fuzz", f"--out={tmp_path}"]
        + [f"--only={reader}", "--inputs=300"]
    )
    records = json.loads((tmp_path / fuzz.RESULT_FILE).read_text())
    assert code == 0, records
    assert [record["inputs"] for record in records] == [300]


def test_a_mistaken_command_is_named(tmp_path, capsys):
    assert fuzz.main(["fuzz", f"--out={tmp_path}", "--only=pictures"]) == 2
    assert "pictures" in capsys.readouterr().err
