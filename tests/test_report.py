"""The command: what it writes, and what it says of what it cannot use."""

import pathlib
import subprocess
import sys

import pytest
import written_run

from mtssl_tf import report

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def _report(*arguments):
    return report.main(["report", *map(str, arguments)])


def test_a_page_is_written_into_the_run_or_elsewhere(tmp_path, capsys):
    folder = written_run.write(tmp_path / "run")
    assert _report(folder) == 0
    page = (folder / "report.html").read_bytes()
    assert str(folder / "report.html") in capsys.readouterr().out
    out = tmp_path / "page.html"
    assert _report(folder, f"--out={out}") == 0
    assert out.read_bytes() == page
    assert not list(tmp_path.rglob("*.partial"))


@pytest.mark.parametrize(
    "arguments, said",
    [
        ((), "Name one run directory"),
        (("run", "run"), "Name one run directory"),
        (("missing",), "missing/metrics.jsonl"),
        (("run/metrics.jsonl",), "metrics.jsonl/metrics.jsonl"),
        (("empty",), "empty/metrics.jsonl"),
        (("not_begun",), "not_begun has logged no step yet"),
        (("torn",), "torn has logged no step yet"),
        (("run", "--out=gone/page.html"), "no folder gone"),
        (("run", "--out=page.md"), "Name page.html"),
        (("run", "--out=run"), "run cannot be written: Is a directory"),
        (("run", "--out=/proc/page.html"), "/proc/page.html cannot"),
        (("run", "--outt=x"), "outt"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    tmp_path, monkeypatch, capsys, arguments, said
):
    monkeypatch.chdir(tmp_path)
    written_run.write(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    written_run.write(tmp_path / "not_begun", [])
    written_run.write(tmp_path / "torn", [])
    (tmp_path / "torn" / "metrics.jsonl").write_text('{"step": 1, "task"')
    before = sorted(tmp_path.rglob("*"))
    assert _report(*arguments) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("mtssl_tf.report: ") and said in line
    assert sorted(tmp_path.rglob("*")) == before


def test_it_answers_without_tensorflow(tmp_path):
    folder = written_run.write(tmp_path / "run")
    code = (
        "import sys; from mtssl_tf import report; report.write_report("
        f"{str(folder)!r}); sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=_ROOT, check=True)
