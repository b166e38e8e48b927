"""A run's settings: presets, `--set`, checks and `config.json`.

Everything here is plain Python: no TensorFlow is imported, so that a mistake
is answered at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import json
import typing
from typing import Any

from mtssl_tf import motion as motion_lib
from mtssl_tf import settings
from mtssl_tf import tasks as tasks_lib
from mtssl_tf import train_settings
from mtssl_tf import version
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.tasks import base

# Of config.json. 1 had neither a format nor a history; up to 2 a picture was
# resized as a whole before views were cut from it, in other random places.
FORMAT = 3
# Settings that an older version wrote and nothing reads, with the value that
# asked for nothing.
_GONE = {"use_block4": False, "decay_steps": 0}


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where examples come from.

    Attributes:
        images: as `open_source.open_pictures` takes it.
        videos: a folder.
        value_range: black and white of pictures of more than 8 bits a value:
            auto, dtype or MIN:MAX. What auto has chosen stands in the run's
            `contract.value_range`.
        held_out_images: share of the pictures never trained on.
        held_out_videos: share of the clips never trained on.
        num_fit: examples that each task's `fit` looks at: of few pictures
            several views each, of clips one frame each at most.
        labelled_short_side_px: size at which motion is looked for in clips,
            at least: in smaller frames slow motion is under a pixel. Where a
            task scales frames to more, it is looked for at that size.
        cache_dir: for labelled frames and the sample set.
        cache_gib: what labelled frames may take there, in GiB.
    """

    images: str = ""
    videos: str = ""
    value_range: str = value_range_lib.AUTO
    held_out_images: float = settings.ranged(0.05, at_least=0, below=1)
    held_out_videos: float = settings.ranged(0.2, at_least=0, below=1)
    # ours: the weight of a colour that is fitted on so many is 8% off in the
    # mean, against that of 4507 photographs; 12% on 128 and 5% on 500.
    num_fit: int = settings.ranged(256, at_least=1)
    labelled_short_side_px: int = settings.ranged(160, at_least=32)
    cache_dir: str = "~/.cache/mtssl_tf"
    # ours: room for some parts of clips, and more than a disk has.
    cache_gib: float = settings.ranged(8.0, at_least=0.01, at_most=2.0**20)

    def __post_init__(self) -> None:
        value_range_lib.parse(self.value_range)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """All settings of a run.

    `tasks` maps names to their options; it is empty for weights that were
    imported and not trained here.
    """

    preset: str
    tasks: Mapping[str, base.TaskConfig]
    trunk: model_config.TrunkConfig
    train: train_settings.TrainConfig
    data: DataConfig
    motion: motion_lib.MotionConfig
    lasso: model_config.LassoConfig
    contract: input_contract.InputContract

    def __post_init__(self) -> None:
        for name, section in self._sections().items():
            try:
                settings.check(section)
            except ValueError as error:
                raise ValueError(f"{name}.{error}") from error
        if self.train.use_lasso:
            strides = {
                name: task.output_stride for name, task in self.tasks.items()
            }
            if max(strides.values()) > 16:
                raise ValueError(
                    "--lasso sums all units, which have one size only at "
                    f"output_stride 16 or 8. Got {strides}."
                )

    @property
    def value_range(self) -> value_range_lib.Choice:
        """The one that is settled, or else the one that was asked for."""
        asked = value_range_lib.parse(self.data.value_range)
        return self.contract.value_range or asked

    def _sections(self) -> dict[str, Any]:
        """Returns all dataclasses of settings by the names `--set` has."""
        own = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
        }
        return {
            name: value
            for name, value in {**own, **self.tasks}.items()
            if dataclasses.is_dataclass(value)
        }

    def sources(self) -> set[str]:
        """Returns which of 'images' and 'videos' the tasks need."""
        return {tasks_lib.find_task(name).source for name in self.tasks}

    def build_tasks(self) -> dict[str, base.Task]:
        """Returns its tasks by name, before they know facts of the data."""
        made = {
            name: tasks_lib.find_task(name)(options, self.contract)
            for name, options in self.tasks.items()
        }
        for task in made.values():
            task.num_parts = self.train.accumulate
        return made

    def needed_sides(self, source: str) -> dict[str, int]:
        """Returns the short side, in pixels, that each task of a source needs.

        Tasks that take everything as it is are left out.
        """
        sides = {
            name: task.smallest_side_px
            for name, task in self.build_tasks().items()
            if task.source == source
        }
        return {name: side for name, side in sides.items() if side is not None}

    def labelled_short_side_px(self) -> int:
        """Returns the short side of labelled frames: none is enlarged."""
        sides = self.needed_sides("videos").values()
        return max([self.data.labelled_short_side_px, *sides])


@dataclasses.dataclass(frozen=True)
class Preset:
    """One scale: the shape of the trunk, and how long it is trained."""

    trunk: model_config.TrunkConfig
    train: train_settings.TrainConfig


# Scale -> trunk and training. Each task's own file has its part of a preset,
# and each evaluation's protocol; the trunk's shape stands here alone.
PRESETS: dict[str, Preset] = {
    # 2 CPU cores, minutes: to see that it learns. All ours, after a
    # prototype at this scale. Its operations are too small to be split: one
    # thread takes 30 ms for a step of one task, two take 46.
    "tiny": Preset(
        model_config.TrunkConfig(
            depth=50, num_units=(1, 1, 4), width=0.25, bn_decay=0.95
        ),
        train_settings.TrainConfig(steps=4000, intra_op_threads=1),
    ),
    # One GPU, hours: ResNet-50's depth at half its width. All ours.
    "small": Preset(
        model_config.TrunkConfig(depth=50, width=0.5, bn_decay=0.99),
        train_settings.TrainConfig(
            steps=200_000, save_every=5000, judge_every=5000, rank_every=5000
        ),
    ),
    # The paper's trunk (sec. 3.1). So many steps of its four tasks, one patch
    # or pair a picture, are about 607 hours of a K40 by --dry_run; the paper
    # trained for 16.8K, on 64 of them (sec. 6; docs/cost.md says more).
    "paper": Preset(
        model_config.TrunkConfig(depth=101),
        train_settings.TrainConfig(
            steps=2_000_000,
            save_every=5000,
            draw_every=5000,
            judge_every=5000,
            rank_every=5000,
        ),
    ),
}


def preset_config(preset: str, task_names: Sequence[str]) -> RunConfig:
    """Returns a preset's settings for these tasks.

    Raises:
        ValueError: there is no such preset or task, or a task is named twice.
    """
    if preset not in PRESETS:
        raise ValueError(
            f"There is no preset {preset!r}. Known: {', '.join(PRESETS)}."
        )
    if len(set(task_names)) != len(task_names):
        raise ValueError(f"--tasks={','.join(task_names)} names a task twice.")
    if not task_names:
        raise ValueError(
            f"--tasks is empty. Choose from {list(tasks_lib.TASKS)}."
        )
    scale = PRESETS[preset]
    return RunConfig(
        preset,
        {
            name: tasks_lib.find_task(name).presets[preset]
            for name in task_names
        },
        scale.trunk,
        scale.train,
        DataConfig(),
        motion_lib.MotionConfig(),
        model_config.LassoConfig(),
        input_contract.InputContract(),
    )


def harmonize(config: RunConfig) -> RunConfig:
    """Returns the settings with harmonized inputs (paper, sec. 3.3)."""
    return dataclasses.replace(
        config,
        tasks={
            name: (
                dataclasses.replace(task, grey_input=True)
                if tasks_lib.find_task(name).is_harmonized
                else task
            )
            for name, task in config.tasks.items()
        },
    )


def with_value_range(
    config: RunConfig, value_range: value_range_lib.Choice | None
) -> RunConfig:
    """Returns the settings with this black and white of deep pictures."""
    contract = dataclasses.replace(config.contract, value_range=value_range)
    return dataclasses.replace(config, contract=contract)


def override(config: RunConfig, *assignments: str) -> RunConfig:
    """Returns the settings with some of them changed, one after another.

    Args:
        config: the settings.
        *assignments: `section.key=value` each, where a section is a field of
            `RunConfig` or the name of a task. Those on which others depend
            are taken first.

    Raises:
        ValueError: there is no such setting, or the value is of another type.
    """
    # Stable, so that of two values of one setting the last one counts.
    for assignment in sorted(
        assignments, key=lambda each: not _decides(config, each)
    ):
        config = _override(config, assignment)
    return config


def _decides(config: RunConfig, assignment: str) -> bool:
    """Says whether other settings of a section depend on this one."""
    section, _, key = assignment.partition("=")[0].partition(".")
    found = config._sections().get(section)
    return found is not None and settings.decides(type(found), key)


def _override(config: RunConfig, assignment: str) -> RunConfig:
    path, equals, text = assignment.partition("=")
    section, dot, key = path.partition(".")
    if not (equals and dot):
        raise ValueError(
            f"--set {assignment!r} is not of the form section.key=value."
        )
    sections = config._sections()
    if section not in sections:
        raise ValueError(
            f"--set {assignment!r}: there is no section {section!r}. Known: "
            f"{', '.join(sections)}."
        )
    try:
        new = settings.replace(sections[section], key, text)
    except ValueError as error:
        raise ValueError(f"--set {assignment!r}: {error}") from error
    if section in config.tasks:
        return dataclasses.replace(config, tasks={**config.tasks, section: new})
    return dataclasses.replace(config, **{section: new})


def flat(config: RunConfig) -> dict[str, Any]:
    """Returns all settings by names such as 'train.steps'."""
    return _flatten(dataclasses.asdict(config))


def to_json(config: RunConfig, **extra: Any) -> str:
    """Returns the text of `config.json`; `extra` are further entries."""
    entries = {"format": FORMAT, **dataclasses.asdict(config), **extra}
    return json.dumps(entries, indent=2) + "\n"


def from_json(text: str) -> RunConfig:
    """Returns the settings that `to_json` wrote.

    Raises:
        ValueError: it is of a later format, or a setting is missing, unknown
            or out of range.
    """
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"This is no JSON: {error}. Bring back a copy, or start in a new "
            "--workdir."
        ) from error
    if not isinstance(stored, dict):
        raise ValueError(
            f"Expected an object of settings, got {str(stored)[:40]!r}. Bring "
            "back a copy, or start in a new --workdir."
        )
    found = stored.get("format", 1)
    if type(found) is not int or not 1 <= found <= FORMAT:
        raise ValueError(
            f"Its format is {found!r}, of version {stored.get('version')} of "
            f"mtssl_tf; version {version.VERSION} reads 1 to {FORMAT}. Use "
            "that version, or start in a new --workdir."
        )
    try:
        return RunConfig(
            preset=stored["preset"],
            tasks={
                name: tasks_lib.find_task(name).Config(**_known(options))
                for name, options in stored["tasks"].items()
            },
            trunk=model_config.TrunkConfig(**_known(stored["trunk"])),
            train=train_settings.TrainConfig(**stored["train"]),
            data=DataConfig(**stored["data"]),
            motion=_restore(motion_lib.MotionConfig, stored["motion"]),
            lasso=model_config.LassoConfig(**stored["lasso"]),
            contract=input_contract.InputContract(**stored["contract"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"This config.json is of another version of mtssl_tf: {error}. "
            "Use the version named in it, or start in a new --workdir."
        ) from error


def differences(old: RunConfig, new: RunConfig) -> list[str]:
    """Returns 'setting: old -> new' for everything that differs."""
    before, after = flat(old), flat(new)
    return [
        f"{key}: {before.get(key, 'absent')} -> {after.get(key, 'absent')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key, "absent") != after.get(key, "absent")
    ]


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a section's settings without those that are gone.

    Raises:
        ValueError: one that is gone asked for something.
    """
    for name, nothing in _GONE.items():
        if options.get(name, nothing) != nothing:
            raise ValueError(
                f"{name}={options[name]!r} is a setting of an older version "
                "of mtssl_tf. Use the version named in this config.json, or "
                "start in a new --workdir."
            )
    return {key: value for key, value in options.items() if key not in _GONE}


def _restore(kind: type, stored: Mapping[str, Any]) -> Any:
    """Returns a dataclass, with its dataclass and tuple fields."""
    field_types = typing.get_type_hints(kind)
    values = {}
    for key, value in stored.items():
        if dataclasses.is_dataclass(field_types[key]):
            value = _restore(typing.cast(type, field_types[key]), value)
        elif isinstance(value, list):
            value = tuple(value)
        values[key] = value
    return kind(**values)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat
