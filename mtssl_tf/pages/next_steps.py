"""What to do after a run: sentences with what to type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import pathlib
import shlex

from mtssl_tf.pages import limits
from mtssl_tf.pages import run_record
from mtssl_tf.pages import verdict as verdict_lib

_OVERFITTED = (verdict_lib.IN_PART, verdict_lib.BY_HEART)


@dataclasses.dataclass(frozen=True)
class NextStep:
    """What to do, and the commands for it, if any."""

    text: str
    commands: tuple[str, ...] = ()


def next_steps(
    run: run_record.RunRecord, verdicts: Mapping[str, verdict_lib.Verdict]
) -> Iterator[NextStep]:
    """Yields what to do, the most useful first."""
    kinds = {name: verdict.kind for name, verdict in verdicts.items()}
    overfitted = [name for name, kind in kinds.items() if kind in _OVERFITTED]
    level = [n for n, kind in kinds.items() if kind == verdict_lib.LEVEL]
    if run.planned is not None and run.step < run.planned:
        yield NextStep(
            f"Let it come to its end: the same command goes on from its last "
            f"checkpoint to step {run.planned:,}.",
            (run.command,) if run.command and not run.is_marked else (),
        )
    if limits.is_sample(run) or overfitted:
        yield _more_pictures(run, overfitted)
    if level and not overfitted:
        yield NextStep(
            f"Train for longer: the same command with --steps={2 * run.step} "
            f"goes on from here. {_listed(level)} may need it to begin."
        )
    yield from _use(run)


def _more_pictures(
    run: run_record.RunRecord, overfitted: list[str]
) -> NextStep:
    steps = (
        "python -m mtssl_tf.doctor --images=PICTURES --videos=VIDEOS",
        "python -m mtssl_tf.train --images=PICTURES --videos=VIDEOS "
        "--workdir=runs/mine",
    )
    if limits.is_sample(run):
        return NextStep(
            "Train on pictures and clips of your own, a few thousand if you "
            "have them. The first command says within a minute whether they "
            "are fit for it.",
            (steps[0], f"{steps[1]} --recipe=best"),
        )
    return NextStep(
        "More pictures or clips, not more steps, is what "
        f"{_listed(overfitted)} needs. A run stays with the pictures that it "
        "began with: start a new one, from this one's trunk.",
        (*steps[:1], f"{steps[1]} --from_weights={_quoted(run)}"),
    )


def _use(run: run_record.RunRecord) -> Iterator[NextStep]:
    workdir = _quoted(run)
    folder = pathlib.Path(f"{run.workdir}_export")
    exported = shlex.quote(str(folder))
    embed = (
        f"python -m mtssl_tf.embed --trunk={workdir} --images=PICTURES "
        "--out=vectors.npz --neighbours=8"
    )
    if folder.is_dir():
        yield NextStep(
            f"Use the trunk in {exported}, whose README.md says how, and look "
            "at which of your pictures it finds alike.",
            (embed,),
        )
    else:
        yield NextStep(
            "Take the trunk along as a Keras model and a SavedModel, and look "
            "at which of your pictures it finds alike.",
            (
                f"python -m mtssl_tf.export --workdir={workdir} "
                f"--out={exported}",
                embed,
            ),
        )
    yield NextStep(
        "See every number over time.", (f"tensorboard --logdir={workdir}",)
    )


def _quoted(run: run_record.RunRecord) -> str:
    return shlex.quote(str(run.workdir))


def _listed(names: list[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)
