"""Draws the mixes of finished and running work as the paper's Figure 4.

    python -m tools.plot_mix --workdir=runs/all --workdir=eval/imagenet

A folder is a training run (`metrics.jsonl`), the --out folder of an
evaluation (`result.json`), or holds such folders. Pretext tasks are drawn
above evaluation tasks.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Iterable, Sequence
import os
import pathlib
import sys

from absl import flags

from evaluation import result
from mtssl_tf.files import walk
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command
from mtssl_tf.process import paths
from mtssl_tf.reports import metrics_log

# What OpenCV writes by the end of a name.
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tiff", ".bmp")

Mixes = dict[str, list[float]]


def read_mixes(folders: Iterable[str | os.PathLike]) -> tuple[Mixes, Mixes]:
    """Reads the last mixes of runs and the mixes of evaluations.

    Returns:
        (pretext, evaluation): row name -> N weights. With several folders
        of a kind, names start with the folder's.

    Raises:
        FileNotFoundError: a folder holds neither a run nor a result.
        ValueError: none of them has a mix, or a result is of an earlier
            version.
    """
    folders = list(folders)
    if not folders:
        raise ValueError("--workdir is missing: name a run's folder.")
    runs: dict[str, Mixes] = {}
    results: dict[str, Mixes] = {}
    for folder in map(pathlib.Path, folders):
        logs, files = _find(folder, (metrics_log.FILE, result.RESULT_FILE))
        if not logs and not files:
            raise FileNotFoundError(
                f"{folder} holds neither {metrics_log.FILE} nor "
                f"{result.RESULT_FILE}. Name a run's or an evaluation's "
                "folder."
            )
        for log in logs:
            runs[_row_prefix(folder, log)] = metrics_log.load_mixes(log.parent)
        for file in files:
            results[_row_prefix(folder, file)] = result.load_mixes(file)
    pretext, evaluation = _name_rows(runs), _name_rows(results)
    if not pretext and not evaluation:
        raise ValueError(
            f"No mixing weights in {[*runs, *results]}. Train or evaluate "
            "with --lasso."
        )
    return pretext, evaluation


def _find(
    folder: pathlib.Path, names: tuple[str, ...]
) -> list[list[pathlib.Path]]:
    """Returns the files in and below a folder that have each of some names."""
    found = [*map(pathlib.Path, walk.files_below(folder, names).files)]
    return [[path for path in found if path.name == name] for name in names]


def _row_prefix(folder: pathlib.Path, file: pathlib.Path) -> str:
    inner = file.parent.relative_to(folder)
    return os.path.normpath(os.path.join(folder.resolve().name, inner))


def _name_rows(mixes_by_folder: dict[str, Mixes]) -> Mixes:
    with_mixes = {
        folder: mixes for folder, mixes in mixes_by_folder.items() if mixes
    }
    is_alone = len(with_mixes) == 1
    return {
        name if is_alone else f"{folder}: {name}": weights
        for folder, mixes in with_mixes.items()
        for name, weights in mixes.items()
    }


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    flags.DEFINE_multi_string(
        "workdir",
        [],
        "A run's or an evaluation's folder; repeat for more.",
        flag_values=values,
    )
    command.define_path("out", "mix.png", "The picture to write.", values)
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(
        "tools.plot_mix", __doc__, define_flags(), argv, _work, takes_more=True
    )


def _work(values: flags.FlagValues, more: Sequence[str]) -> None:
    # Shells expand DIR... to plain arguments after the first.
    folders = [paths.expand(each) for each in (*values.workdir, *more)]
    if "" in folders:
        raise ValueError("--workdir= names nothing: name a run's folder.")
    suffix = pathlib.Path(values.out).suffix
    if suffix.lower() not in ("", *_SUFFIXES):
        raise ValueError(
            f"--out={values.out} ends in {suffix}. Name a picture: "
            f"{', '.join(_SUFFIXES)}."
        )
    pretext, evaluation = read_mixes(folders)
    save_picture(pretext, evaluation, pathlib.Path(values.out))
    for name, weights in [*pretext.items(), *evaluation.items()]:
        num_off = sum(weight == 0 for weight in weights)
        print(f"{name}: {num_off} of {len(weights)} units off")
    print(f"Wrote {values.out}.")


def save_picture(pretext: Mixes, evaluation: Mixes, path: pathlib.Path) -> None:
    """Draws mixes, at least one, into a file of the kind that its name says."""
    import cv2  # slow, as the next is; a mistyped flag needs neither

    from mtssl_tf.reports import mix_picture

    picture = mix_picture.draw_mixes(pretext, evaluation)
    suffix = path.suffix or ".png"
    encoded = cv2.imencode(suffix, picture[..., ::-1])[1]
    with atomic_file.open_new(path) as file:
        file.write(encoded.tobytes())


if __name__ == "__main__":
    command.end(main(sys.argv))
