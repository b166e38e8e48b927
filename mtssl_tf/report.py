"""One page about a run: what it learned, what it could not, what to do next.

    mtssl-report RUN [--out=FILE]

(or `python -m mtssl_tf.report`) reads the files of a run directory, while it
trains or afterwards, and writes RUN/report.html: one file for any browser that
needs no network. It prints the same in words.
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
    """Writes the page about a run.

    Args:
        workdir: the run directory.
        out: file to write; `report.html` in the run directory if absent.

    Returns:
        The same in words, and where the page is.

    Raises:
        FileNotFoundError: it is no run directory.
        OSError: it cannot be read, or the page not be written.
        ValueError: its files are damaged, or it has no step to show.
    """
    from mtssl_tf.pages import run_page  # slow; a mistyped flag needs none

    path = pathlib.Path(workdir, FILE) if out is None else pathlib.Path(out)
    if out is not None:
        paths.check_parent(path, f"--out={path}")
    built = run_page.build(workdir)
    page = run_page.as_html(built)
    try:
        atomic_file.write_text(path, page)
    except OSError as error:
        raise type(error)(
            f"{path} cannot be written: {error.strerror}. Name a file that "
            "can be, with --out."
        ) from error
    return f"{run_page.as_text(built)}\n\nWrote {path}: open it in a browser."


if __name__ == "__main__":
    command.end(main(sys.argv))
