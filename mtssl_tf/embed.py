"""A vector for every picture, from a trunk: `python -m mtssl_tf.embed`.

    python -m mtssl_tf.embed --trunk=RUN|EXPORT|hf://USER/NAME|random \
        --images=SRC --out=FILE

FILE (.csv, .parquet or .npz) has names and vectors in the pictures' order, and
FILE.json says what was skipped and what the vectors are standardised by. What
cannot be used is skipped and named. The same command goes on where it stopped.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Iterator, Sequence
import contextlib
import pathlib
import sys
import types
from typing import Any, TYPE_CHECKING

from absl import flags

from mtssl_tf import config as config_lib
from mtssl_tf.distribute import mapping
from mtssl_tf.embedding import request as request_lib
from mtssl_tf.embedding import run
from mtssl_tf.files import names as names_lib
from mtssl_tf.process import command
from mtssl_tf.process import paths

if TYPE_CHECKING:
    from mtssl_tf.process import local_map

NAME = "mtssl_tf.embed"


class _AlsoTheFunction(types.ModuleType):
    """This module: `mtssl_tf.embed` is a function, whoever imports this too."""

    def __call__(self, *args: Any, **kwargs: Any) -> run.Embeddings:
        return run.embed(*args, **kwargs)


sys.modules[__name__].__class__ = _AlsoTheFunction


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    for name, text in (
        (
            "trunk",
            "A run directory, an export, hf://USER/NAME, or 'random[:FAMILY]'.",
        ),
        ("out", "File to write: .csv, .parquet or .npz; must not exist."),
        ("duplicates", "CSV file to list pictures in that are nearly alike."),
        ("projector", "Folder to write for TensorBoard's projector."),
    ):
        command.define_path(name, "", text, values)
    command.define_images("images", "Pictures", values)
    for name, default, text in (
        ("format", "", "csv, parquet or npz, where --out does not say."),
        ("unit", "", "Unit to read, as unit_06; the last one by default."),
        ("lasso", "", "Task whose learned mix of units is read instead."),
    ):
        flags.DEFINE_string(name, default, text, flag_values=values)
    flags.DEFINE_enum(
        "pool",
        request_lib.POOLS[0],
        request_lib.POOLS,
        "mean or max over all positions; grid3: the maximum in 3 x 3 cells.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "raw",
        False,
        "Leaves out standardisation and ReLU.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "preset",
        None,
        list(config_lib.PRESETS),
        "Size at which pictures are read; by default the trunk's own, and "
        f"{request_lib.DEFAULT_PRESET} for imported weights.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "size_px",
        None,
        "Side of the square that the trunk sees.",
        request_lib.MIN_SIZE_PX,
        request_lib.MAX_SIZE_PX,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "neighbours",
        0,
        "Draws FILE.neighbours.png: pictures with so many nearest ones.",
        0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "duplicates_above",
        run.DUPLICATES_ABOVE,
        "Cosine from which on two pictures are listed.",
        -1.0,
        1.0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed",
        0,
        "Of a random trunk.",
        0,
        request_lib.MAX_SEED,
        flag_values=values,
    )
    mapping.define_flags("pictures", values)
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(NAME, __doc__, define_flags(), argv, _work)


def _work(values: flags.FlagValues) -> None:
    """Embeds, and says what was left out."""
    request = request_lib.Request(
        trunk=values.trunk,
        images=values.images,
        unit=values.unit,
        lasso=values.lasso,
        pool=values.pool,
        raw=values.raw,
        size_px=values.size_px,
        preset=values.preset,
        seed=values.seed,
    )
    if not values.out:
        raise ValueError("--out is required: name a file to write.")
    mapping.check_flags(values)
    outputs = run.Outputs(
        format=values.format or None,
        neighbours=values.neighbours,
        duplicates=_path(values.duplicates),
        duplicates_above=values.duplicates_above,
        projector=_path(values.projector),
    )
    out = pathlib.Path(values.out)
    with _mapper(values, out) as map_all:
        made = run.run(
            request, out, outputs, map_all, command.end_at_lost_lock(NAME)
        )
    count, dims = made.vectors.shape
    print(f"Wrote {count} vectors of {dims} numbers to {out}.")
    print(f"Statistics: {made.statistics}.")
    print(f"Without labels: {made.rank}.")
    if made.skipped:
        listed = names_lib.some(list(made.skipped))
        print(f"Skipped {len(made.skipped)}: {listed}.")


def _path(text: str) -> pathlib.Path | None:
    return pathlib.Path(text) if text else None


@contextlib.contextmanager
def _mapper(
    values: flags.FlagValues, out: pathlib.Path
) -> Iterator[local_map.MapAll | None]:
    """Gives what spreads parts over a cluster; None where there is none."""
    if not values.cluster:
        yield None
        return
    data = [("images", each) for each in paths.local_folders(values.images)]
    with mapping.over_cluster(values, out.absolute().parent, data) as map_all:
        yield map_all


if __name__ == "__main__":
    command.end(main(sys.argv))
