"""Which trainings and evaluations the paper's tables need, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import pathlib
import shlex
import sys

from evaluation import command as evaluation_command_lib
from evaluation.classification import protocol as linear_protocol
from evaluation.detection import protocol as detection_protocol
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.training import run_directory
from tools.reproduction import tables as tables_lib

COSTS_FILE = "costs.json"


@dataclasses.dataclass(frozen=True)
class Sources:
    """What is at hand; '' where something is not.

    Attributes:
        images: to train trunks on.
        videos: to train trunks on.
        train: pictures with classes, for labels and linear layers.
        test: pictures with classes, to judge linear layers on.
        voc: a VOC devkit.
        depth: pictures with depth.
    """

    images: str = ""
    videos: str = ""
    train: str = ""
    test: str = ""
    voc: str = ""
    depth: str = ""


_SHOWN_SOURCES = Sources(
    **{field.name: field.name.upper() for field in dataclasses.fields(Sources)}
)


@dataclasses.dataclass(frozen=True)
class Options:
    """How a reproduction is run.

    Attributes:
        out: folder for all of it.
        preset: scale.
        gpu_hours: that every trunk is trained for.
        costs: table of seconds per step; '' measures one into `out`.
        seeds: of the linear evaluation.
        fine_tuning_seeds: of detection and depth.
        figure3_seeds: of the snapshots that Figure 3 reads.
        flags: further flags of each kind of command: 'train', and those of
            `tables.LINEAR` and so on.
    """

    out: pathlib.Path
    preset: str
    gpu_hours: float
    costs: str = ""
    seeds: int = 1
    fine_tuning_seeds: int = 1
    figure3_seeds: int = 1
    flags: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

    def costs_file(self) -> pathlib.Path:
        """Returns the table of seconds per step that all runs share."""
        return pathlib.Path(self.costs or self.out / COSTS_FILE)


@dataclasses.dataclass(frozen=True)
class Training:
    """A run.

    Attributes:
        trunk: what it makes.
        seed: of weights, order and augmentation.
    """

    trunk: tables_lib.Trunk
    seed: int

    def folder(self) -> pathlib.Path:
        """Returns its run directory below `Options.out`."""
        return pathlib.Path("runs", _slug(self.trunk), f"seed_{self.seed}")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What is read of a trunk, by one evaluation.

    Attributes:
        training: that made it; of `tables.RANDOM` only the seed counts.
        kind: LINEAR, DETECTION or DEPTH.
        lasso: whether a mix is read.
        output_stride: of the linear evaluation; None is its own.
        snapshot: which one of the run is read, from 1; None is its end.
    """

    training: Training
    kind: str
    lasso: bool = False
    output_stride: int | None = None
    snapshot: int | None = None

    def folder(self) -> pathlib.Path:
        """Returns its results' folder below `Options.out`."""
        name = self.kind
        if self.lasso:
            name += "_lasso"
        if self.output_stride:
            name += f"_at_stride_{self.output_stride}"
        if self.snapshot:
            name += f"_at_snapshot_{self.snapshot}"
        run = self.training.folder()
        return pathlib.Path("results", *run.parts[1:], name)


def snapshot(trunk: tables_lib.Trunk, seed: int, number: int) -> Evaluation:
    """Returns whose result stands in Figure 3, from snapshot 1 to the last.

    The last is the run's end, which the tables read too.
    """
    is_end = number == tables_lib.NUM_SNAPSHOTS
    return Evaluation(
        Training(trunk, seed),
        tables_lib.LINEAR,
        snapshot=None if is_end else number,
    )


def evaluations(parts: Sequence[str], options: Options) -> list[Evaluation]:
    """Returns what tables and figures read, each once.

    All of the first seed come first, so that there is a table early.

    Args:
        parts: of `tables.PARTS`.
        options: how it is run.
    """
    found: dict[Evaluation, None] = {}
    most = (options.seeds, options.fine_tuning_seeds, options.figure3_seeds)
    for seed in range(max(most)):
        for part in parts:
            for each in _of_part(part, seed, options):
                found[each] = None
    return list(found)


def cell(
    table: tables_lib.Table,
    row: tables_lib.Row,
    column: tables_lib.Column,
    seed: int,
    preset: str,
) -> Evaluation:
    """Returns whose result stands in a table's cell."""
    stride = None
    is_linear = column.evaluation == tables_lib.LINEAR
    if is_linear and table.at_one_stride and not row.lasso:
        own = linear_protocol.PRESETS[preset].full.output_stride
        if own > linear_protocol.LASSO_STRIDE:
            stride = linear_protocol.LASSO_STRIDE
    return Evaluation(
        Training(row.trunk, seed), column.evaluation, row.lasso, stride
    )


def seeds_of(kind: str, options: Options) -> int:
    """Returns how many seeds an evaluation has."""
    if kind == tables_lib.LINEAR:
        return options.seeds
    return options.fine_tuning_seeds


def missing_data(each: Evaluation, sources: Sources) -> str:
    """Returns why an evaluation cannot be had: flags that were not given."""
    needed = {
        tables_lib.LINEAR: ("train", "test"),
        tables_lib.DETECTION: ("voc",),
        tables_lib.DEPTH: ("depth",),
    }[each.kind]
    of_tasks = []
    for name in each.training.trunk.tasks():
        task = tasks_lib.find_task(name)
        of_tasks.append(task.source if task.is_pretext else "train")
    return ", ".join(
        f"--{name}"
        for name in dict.fromkeys([*of_tasks, *needed])
        if not getattr(sources, name)
    )


def training_command(
    training: Training, sources: Sources, options: Options, parts: Sequence[str]
) -> list[str]:
    """Returns the command of a run."""
    trunk = training.trunk
    command = [
        *_data_flags(trunk.tasks(), sources),
        f"--workdir={options.out / training.folder()}",
        f"--preset={options.preset}",
        f"--gpu_hours={options.gpu_hours}",
        f"--costs={options.costs_file()}",
        f"--set=train.seed={training.seed}",
    ]
    if trunk.harmonize:
        command.append("--harmonize")
    if trunk.lasso:
        command.append("--lasso")
    if tables_lib.FIGURE3 in parts and trunk in tables_lib.FIGURE3_TRUNKS:
        every = options.gpu_hours / tables_lib.NUM_SNAPSHOTS
        command.append(f"--snapshot_every={every}")
    return _python("mtssl_tf.train", *command, *options.flags.get("train", ()))


def calibration_commands(
    trainings: Sequence[Training], sources: Sources, options: Options
) -> list[list[str]]:
    """Returns what measures the table of seconds per step that runs share."""
    names: dict[str, None] = {}
    for training in trainings:
        names |= dict.fromkeys(training.trunk.tasks())
    kinds = [
        [n for n in names if tasks_lib.find_task(n).is_pretext == is_pretext]
        for is_pretext in (True, False)
    ]
    return [
        _python(
            "mtssl_tf.train",
            *_data_flags(tasks, sources),
            f"--preset={options.preset}",
            f"--costs={options.costs_file()}",
            "--calibrate",
            *options.flags.get("train", ()),
        )
        for tasks in kinds
        if tasks
    ]


def evaluation_command(
    each: Evaluation, sources: Sources, options: Options
) -> list[str]:
    """Returns the command of an evaluation, once its run is there.

    Raises:
        FileNotFoundError: the run has no such snapshot.
    """
    return _evaluation_command(
        each,
        _trunk(each, options),
        str(options.out / each.folder()),
        str(each.training.seed),
        sources,
        options,
    )


def shown_training_command(
    training: Training, options: Options, parts: Sequence[str]
) -> str:
    """Returns a run's command with capitals for paths and the seed."""
    command = training_command(training, _SHOWN_SOURCES, options, parts)
    shown = {
        f"--workdir={options.out / training.folder()}": "--workdir=RUN",
        f"--costs={options.costs_file()}": "--costs=COSTS",
        f"--set=train.seed={training.seed}": "--set=train.seed=SEED",
    }
    return _shown([shown.get(word, word) for word in command])


def shown_evaluation_command(each: Evaluation, options: Options) -> str:
    """Returns an evaluation's command with capitals for paths and the seed."""
    return _shown(
        _evaluation_command(
            each, "TRUNK", "RESULT", "SEED", _SHOWN_SOURCES, options
        )
    )


def _evaluation_command(
    each: Evaluation,
    trunk: str,
    out: str,
    seed: str,
    sources: Sources,
    options: Options,
) -> list[str]:
    command = [f"--trunk={trunk}", f"--out={out}", f"--seed={seed}"]
    if each.lasso:
        command.append("--lasso")
    flags = options.flags.get(each.kind, ())
    if each.kind == tables_lib.LINEAR:
        command += [
            f"--preset={options.preset}",
            f"--train={sources.train}",
            f"--test={sources.test}",
            "--full",
        ]
        if each.output_stride:
            command.append(f"--output_stride={each.output_stride}")
        return _python("evaluation.imagenet_linear", *command, *flags)
    # These have no protocol for a scale between.
    preset = evaluation_command_lib.preset_among(
        options.preset, detection_protocol.PRESETS
    )
    command.append(f"--preset={preset}")
    if each.kind == tables_lib.DETECTION:
        command.append(f"--data={sources.voc}")
        return _python("evaluation.voc_detection", *command, *flags)
    command.append(f"--data={sources.depth}")
    return _python("evaluation.nyu_depth", *command, *flags)


def _shown(command: Sequence[str]) -> str:
    return shlex.join(["python", *command[1:]])


def _of_part(part: str, seed: int, options: Options) -> Iterator[Evaluation]:
    if part == tables_lib.FIGURE3:
        if seed < options.figure3_seeds:
            for trunk in tables_lib.FIGURE3_TRUNKS:
                for number in range(1, tables_lib.NUM_SNAPSHOTS + 1):
                    yield snapshot(trunk, seed, number)
        return
    table = tables_lib.TABLES[part]
    for row in table.rows:
        for column in table.columns:
            if seed < seeds_of(column.evaluation, options):
                yield cell(table, row, column, seed, options.preset)


def _trunk(each: Evaluation, options: Options) -> str:
    training = each.training
    if training.trunk == tables_lib.RANDOM:
        return "random"
    folder = options.out / training.folder()
    if each.snapshot is None:
        return str(folder)
    found = sorted((folder / run_directory.SNAPSHOTS_FOLDER).glob("*"))
    if len(found) < each.snapshot:
        raise FileNotFoundError(
            f"{folder} has {len(found)} snapshots, and {each.snapshot} are "
            "needed. Take the run away, to have it trained again."
        )
    return str(found[each.snapshot - 1])


def _data_flags(tasks: Sequence[str], sources: Sources) -> list[str]:
    kinds = [tasks_lib.find_task(name) for name in tasks]
    command = [f"--tasks={','.join(tasks)}"]
    if any(kind.source == "images" for kind in kinds):
        has_labels = any(not kind.is_pretext for kind in kinds)
        images = sources.train if has_labels else sources.images
        command.append(f"--images={images}")
    if any(kind.source == "videos" for kind in kinds):
        command.append(f"--videos={sources.videos}")
    return command


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _slug(trunk: tables_lib.Trunk) -> str:
    """Returns a name for folders."""
    return trunk.label.replace(" / ", "-").replace(" ", "_")
