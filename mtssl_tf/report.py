"""One page about a run: what it learned, what it could not, what to do next.

    mtssl-report RUN [--out=FILE]

(or `python -m mtssl_tf.report`) reads the files of a run directory, while it
trains or afterwards, and writes RUN/report.html: one file for any browser that
needs no network. It prints the same in words. Of a folder of tools.reproduce it
makes the page of the paper's tables, and report.md beside it.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import os
import pathlib
import sys

from absl import flags

from mtssl_tf.process import atomic_file
from mtssl_tf.process import command
from mtssl_tf.process import paths

NAME = "mtssl_tf.report"
FILE = "report.html"


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    command.define_path(
        "out", "", f"File to write; by default RUN/{FILE}.", values
    )
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(
        NAME, __doc__, define_flags(), argv, _work, takes_more=True
    )


def _work(values: flags.FlagValues, rest: Sequence[str]) -> None:
    if len(rest) != 1:
        raise ValueError(
            f"Name one run directory, got {list(rest)}: mtssl-report RUN."
        )
    text = write_report(paths.expand(rest[0]), values.out or None)
    print(text)


def write_report(
    workdir: str | os.PathLike, out: str | os.PathLike | None = None
) -> str:
    """Writes the page about a run, or about a folder of `tools.reproduce`.

    Args:
        workdir: the run directory, or that folder.
        out: file to write; `report.html` in the run directory if absent.

    Returns:
        The same in words, and where the page is.

    Raises:
        FileNotFoundError: it is no run directory.
        OSError: it cannot be read, or the page not be written.
        ValueError: its files are damaged, or it has no step to show.
    """
    path = pathlib.Path(workdir, FILE) if out is None else pathlib.Path(out)
    if out is not None:
        paths.check_parent(path, f"--out={path}")
        if path.suffix == ".md":
            raise ValueError(
                f"--out={path}: the page is HTML, and Markdown is written "
                f"beside it where there is any. Name {path.stem}.html."
            )
    text, pages = _build(pathlib.Path(workdir), path)
    for each, page in pages.items():
        try:
            atomic_file.write_text(each, page)
        except OSError as error:
            raise type(error)(
                f"{each} cannot be written: {error.strerror}. Name a file that "
                "can be, with --out."
            ) from error
    return f"{text}\n\nWrote {path}: open it in a browser."


def _build(
    folder: pathlib.Path, path: pathlib.Path
) -> tuple[str, dict[pathlib.Path, str]]:
    """Returns what is said, and what is to be written where."""
    # Slow to import; a mistyped flag needs none of them.
    from mtssl_tf.pages import run_page
    from mtssl_tf.pages import tables_page
    from mtssl_tf.pages import tables_record

    if (folder / tables_record.FILE).is_file():
        tables = tables_page.build(folder)
        return tables_page.as_text(tables.record), {
            path: tables_page.as_html(tables),
            path.with_suffix(".md"): tables_page.as_markdown(tables.record),
        }
    run = run_page.build(folder)
    return run_page.as_text(run), {path: run_page.as_html(run)}


if __name__ == "__main__":
    command.end(main(sys.argv))
