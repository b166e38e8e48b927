"""The flags of `python -m mtssl_tf.train`, and the settings they ask for.

Cheap to import: `--help` and a mistake are answered from here alone.
"""

from __future__ import annotations

from absl import flags

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf import run_settings
from mtssl_tf import tasks
from mtssl_tf import train_settings
from mtssl_tf import weighting
from mtssl_tf.distribute import options
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.process import command

FLAGS = flags.FlagValues()  # the command's, apart from any other program's

TASKS = flags.DEFINE_list(
    "tasks",
    None,
    "Tasks to train, with commas between; if absent those of the paper's four "
    f"that there is data for. Known: {', '.join(tasks.TASKS)}.",
    flag_values=FLAGS,
)
IMAGES = command.define_images(
    "images",
    "Pictures (with neither --images nor --videos: the sample set)",
    FLAGS,
)
VIDEOS = command.define_path(
    "videos",
    "",
    "A folder of video files and of folders of numbered frames.",
    FLAGS,
)
VALUE_RANGE = flags.DEFINE_string(
    "value_range",
    value_range_lib.AUTO,
    f"{value_range_lib.HELP} Kept with the run and its exports.",
    flag_values=FLAGS,
)
WORKDIR = command.define_path(
    "workdir",
    "",
    "Run directory. The same command again goes on from it.",
    FLAGS,
)
UPLOAD = flags.DEFINE_string(
    "upload",
    "",
    "URL (gs://, s3://, ...) that the run directory is copied to at the end.",
    flag_values=FLAGS,
)
PRESET = flags.DEFINE_enum(
    "preset",
    "tiny",
    list(config_lib.PRESETS),
    "Scale of trunk and training.",
    flag_values=FLAGS,
)
RECIPE = flags.DEFINE_enum(
    "recipe",
    recipes.OURS,
    list(recipes.RECIPES),
    "Whose method: paper is literally the paper's (docs/paper.md), best the "
    "tasks and shares that measured best (docs/combining_tasks.md); --set wins "
    "over it.",
    flag_values=FLAGS,
)
LASSO = flags.DEFINE_bool(
    "lasso",
    False,
    "Each task reads its own sparse mix of block-3 units.",
    flag_values=FLAGS,
)
HARMONIZE = flags.DEFINE_bool(
    "harmonize",
    False,
    "Inputs alike for all tasks (paper, sec. 3.3): grey pictures for "
    f"{', '.join(n for n, t in tasks.TASKS.items() if t.is_harmonized)} too.",
    flag_values=FLAGS,
)
WEIGHTING = flags.DEFINE_enum(
    "weighting",
    weighting.FIXED,
    weighting.NAMES,
    "Who gets which share of the steps: the tasks' own weights throughout, or "
    "by a rule as training goes (docs/combining_tasks.md).",
    flag_values=FLAGS,
)
STEPS = flags.DEFINE_integer(
    "steps",
    None,
    "Training steps in all; the preset's if absent.",
    1,
    flag_values=FLAGS,
)
HOURS = flags.DEFINE_float(
    "hours",
    None,
    "Trains for so long, in place of --steps: as many steps as fit are taken, "
    "once their pace is known.",
    flag_values=FLAGS,
)
GPU_HOURS = flags.DEFINE_float(
    "gpu_hours",
    None,
    "Trains as many steps as cost that by --costs, in place of --steps.",
    flag_values=FLAGS,
)
COSTS = command.define_path(
    "costs",
    "",
    "A table of seconds per step, which the run's cost is counted with; "
    "without, the pace of its own first steps.",
    FLAGS,
)
CALIBRATE = flags.DEFINE_bool(
    "calibrate",
    False,
    "Measure seconds per step into --costs, then stop.",
    flag_values=FLAGS,
)
SNAPSHOT_EVERY = flags.DEFINE_float(
    "snapshot_every",
    0.0,
    "GPU hours between snapshots, which are kept: run directories to evaluate "
    "and export.",
    0.0,
    flag_values=FLAGS,
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    train_settings.PRECISIONS,
    "Of activations.",
    flag_values=FLAGS,
)
REMAT = flags.DEFINE_bool(
    "remat",
    False,
    "Less memory, more time: computes block 3's units again for the backward "
    "pass instead of keeping their inside.",
    flag_values=FLAGS,
)
FROM_WEIGHTS = command.define_path(
    "from_weights",
    "",
    "Begins with the trunk of another run, an export or a TF-Slim checkpoint; "
    "heads and optimizers are new.",
    FLAGS,
)
PROBE = command.define_path(
    "probe",
    "",
    "A labelled folder (a folder a class): the trunk's k-NN and linear "
    "accuracy on it, every so often.",
    FLAGS,
)
KEEP_BEST = flags.DEFINE_enum(
    "keep_best",
    "",
    train_settings.BESTS,
    "Keeps the best checkpoint as WORKDIR/best: by the trunk's rank, by the "
    "held-out losses, or by the linear accuracy of --probe.",
    flag_values=FLAGS,
)
TRACK = flags.DEFINE_string(
    "track",
    "",
    "Hands all scalars to a tracker too: mlflow or wandb, or either with a "
    "project, as wandb:birds. Each is an extra of mtssl_tf.",
    flag_values=FLAGS,
)
PROFILE = flags.DEFINE_string(
    "profile",
    "",
    "START:STOP, steps to trace for TensorBoard.",
    flag_values=FLAGS,
)
SET = flags.DEFINE_multi_string(
    "set",
    [],
    "Any other setting: section.key=value. See --dry_run.",
    flag_values=FLAGS,
)
CLUSTER = flags.DEFINE_string(
    "cluster",
    "",
    "Trains on a Ray cluster (docs/distributed.md): local starts one here, "
    "auto joins the one that runs here, HOST:PORT that of another head.",
    flag_values=FLAGS,
)
WORKERS = flags.DEFINE_string(
    "workers",
    "1",
    "With --cluster: workers of each task's group, as 2, or 1-4 for as many "
    "as fit, or TASK:2,TASK:1-4.",
    flag_values=FLAGS,
)
STORE_SHARDS = flags.DEFINE_integer(
    "store_shards",
    1,
    "With --cluster: processes that share the trunk.",
    1,
    flag_values=FLAGS,
)
MODE = flags.DEFINE_enum(
    "mode",
    options.MODES[0],
    options.MODES,
    "With --cluster: who waits for whom.",
    flag_values=FLAGS,
)
BATCH_NORM = flags.DEFINE_enum(
    "batch_norm",
    options.BATCH_NORMS[0],
    options.BATCH_NORMS,
    "With --cluster: what a worker's batch norms normalise by.",
    flag_values=FLAGS,
)
WIRE = flags.DEFINE_enum(
    "wire",
    options.WIRES[0],
    options.WIRES,
    "With --cluster: gradients as sent.",
    flag_values=FLAGS,
)
OVERLAP = flags.DEFINE_bool(
    "overlap",
    False,
    "With --cluster: a group computes its next batch while its gradient "
    "travels.",
    flag_values=FLAGS,
)
DASHBOARD = flags.DEFINE_bool(
    "dashboard",
    False,
    "With --cluster=local: start Ray's dashboard too.",
    flag_values=FLAGS,
)
ALLOW_OPEN = flags.DEFINE_bool(
    "allow_open_cluster",
    False,
    "With --cluster: join a Ray that asks nobody for a token.",
    flag_values=FLAGS,
)
DRY_RUN = flags.DEFINE_bool(
    "dry_run",
    False,
    "Print settings, size, cost and data; then stop.",
    flag_values=FLAGS,
)


# By the names that `TrainConfig` has for them.
_OF_TRAIN = (
    COSTS,
    FROM_WEIGHTS,
    KEEP_BEST,
    PRECISION,
    PROBE,
    REMAT,
    SNAPSHOT_EVERY,
    TRACK,
    WEIGHTING,
)


def config_from_flags() -> config_lib.RunConfig:
    """Returns the settings that the flags ask for.

    Raises:
        ValueError: something is unknown or does not fit together.
    """
    return run_settings.build_config(
        TASKS.value,
        PRESET.value,
        recipe=RECIPE.value,
        images=IMAGES.value,
        videos=VIDEOS.value,
        value_range=VALUE_RANGE.value,
        harmonize=HARMONIZE.value,
        steps=STEPS.value,
        hours=_hours(),
        # They are bought by what a calibration has yet to measure.
        gpu_hours=None if CALIBRATE.value else GPU_HOURS.value,
        train={
            "use_lasso": LASSO.value,
            "profile": _parse_profile(PROFILE.value),
            **{flag.name: flag.value for flag in _OF_TRAIN},
        },
        assignments=SET.value,
    )


def cluster_from_flags(
    config: config_lib.RunConfig,
) -> options.ClusterOptions | None:
    """Returns how the run is spread, or None for one machine.

    Raises:
        ValueError: a flag does not fit the others or the settings.
    """
    if not CLUSTER.value:
        of_clusters = (
            WORKERS,
            STORE_SHARDS,
            MODE,
            BATCH_NORM,
            WIRE,
            OVERLAP,
            DASHBOARD,
            ALLOW_OPEN,
        )
        for flag in of_clusters:
            if flag.value != flag.default:
                raise ValueError(
                    f"--{flag.name} is for --cluster. Give --cluster=local "
                    "too, or leave it out."
                )
        return None
    # Steps are measured one task at a time, so that nobody is in another's way.
    in_turns = CALIBRATE.value
    cluster = options.ClusterOptions(
        address=CLUSTER.value,
        workers=options.parse_workers(WORKERS.value, list(config.tasks)),
        store_shards=STORE_SHARDS.value,
        mode="turns" if in_turns else MODE.value,
        batch_norm=BATCH_NORM.value,
        wire=WIRE.value,
        use_overlap=OVERLAP.value and not in_turns,
        is_calibration=CALIBRATE.value,
        has_dashboard=DASHBOARD.value,
        allows_open=ALLOW_OPEN.value,
    )
    options.check_fits(cluster, config)
    return cluster


def calibrates_here() -> bool:
    """Returns whether seconds per step are measured on this machine.

    Raises:
        ValueError: --calibrate lacks a flag, or does not go with another.
    """
    if not CALIBRATE.value:
        return False
    if DRY_RUN.value:
        raise ValueError(
            "--calibrate, which measures steps, does not go with --dry_run, "
            "which takes none. Leave one out."
        )
    if not CLUSTER.value and not COSTS.value:
        raise ValueError(
            "--calibrate needs --costs=FILE, which the seconds per step are "
            "written to."
        )
    return not CLUSTER.value


def _hours() -> float | None:
    """Returns --hours where it goes with the other flags."""
    hours = HOURS.value
    if hours is None:
        return None
    others = {
        "--cluster": bool(CLUSTER.value),
        "--dry_run, which measures no pace": DRY_RUN.value,
    }
    for other, is_given in others.items():
        if is_given:
            raise ValueError(
                f"--hours={hours} does not go with {other}. Leave one out."
            )
    return hours


def _parse_profile(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    try:
        start, stop = (int(part) for part in text.split(":"))
    except ValueError:
        raise ValueError(
            f"--profile={text} is not START:STOP, two step numbers."
        ) from None
    return (start, stop)
