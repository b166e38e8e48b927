"""The first thing to run: `python -m tools.sample_run`.

Trains on the built-in sample set, exports the trunk, and says what was learned,
in words and on a page. Every step is an ordinary command, printed before it
starts.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import pathlib
import shlex
import subprocess
import sys

from absl import flags

from mtssl_tf.process import command
from tools import child_process

_FLAGS = flags.FlagValues()
command.define_path("workdir", "runs/sample", "Run directory.", _FLAGS)
# ours: later, colours and motion get better on the tiles and clips that are
# trained on, and worse on those that are held out.
flags.DEFINE_integer("steps", 1200, "Training steps.", 1, flag_values=_FLAGS)

_SETTINGS = (
    # Grey pictures: the slowest task starts to learn sooner.
    "--harmonize",
    # The usual twentieth would be five tiles, three of them gravel, grass and
    # stars, of which nobody could say what lies where.
    "--set=data.held_out_images=0.2",
    "--set=train.judge_every=150",
)


def sample_run(workdir: pathlib.Path, steps: int) -> None:
    """Trains, exports and reports.

    Raises:
        subprocess.CalledProcessError: a command failed; it has said why.
    """
    exported = workdir.with_name(f"{workdir.name}_export")
    _run(
        "mtssl_tf.train",
        f"--workdir={workdir}",
        f"--steps={steps}",
        *_SETTINGS,
    )
    if exported.exists():
        print(f"{exported} is there already and is left as it is.")
    else:
        _run("mtssl_tf.export", f"--workdir={workdir}", f"--out={exported}")
    _run("mtssl_tf.report", str(workdir))
    print(f"The trunk is in {exported}; its README.md says how to use it.")


def _run(module: str, *arguments: str) -> None:
    print(f"\n$ python -m {module} {shlex.join(arguments)}", flush=True)
    child_process.run_to_its_end([sys.executable, "-m", module, *arguments])


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run("tools.sample_run", __doc__, _FLAGS, argv, _work)


def _work(values: flags.FlagValues) -> int:
    try:
        sample_run(pathlib.Path(values.workdir), values.steps)
    except subprocess.CalledProcessError as error:
        return child_process.exit_code(error)
    return 0


if __name__ == "__main__":
    command.end(main(sys.argv))
