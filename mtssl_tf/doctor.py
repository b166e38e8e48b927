"""Says within a minute what training would make of your data, and its cost.

    mtssl-doctor --images=SRC --videos=DIR [--preset=tiny] [--share=0.1]

(or `python -m mtssl_tf.doctor`): what can be used and what not and why, sizes,
grey pictures, pictures that are nearly the same, clips in which nothing moves,
the time and memory that training takes on this machine, and what to change.
It reads with training's own code, and writes nothing but --json.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Sequence
import json
import pathlib
import sys

from absl import flags
from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf import run_settings
from mtssl_tf import tasks as tasks_lib
from mtssl_tf.files import value_range as value_range_lib
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command

NAME = "mtssl_tf.doctor"


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    command.define_images("images", "Pictures", values)
    command.define_path(
        "videos",
        "",
        "A folder of video files and of folders of numbered frames.",
        values,
    )
    flags.DEFINE_list(
        "tasks",
        None,
        "Tasks to train, with commas between; if absent those of the paper's "
        f"four that there is data for. Known: {', '.join(tasks_lib.TASKS)}.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "preset",
        "tiny",
        list(config_lib.PRESETS),
        "Scale of trunk and training.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "value_range",
        value_range_lib.AUTO,
        value_range_lib.HELP,
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "set", [], "Any other setting: section.key=value.", flag_values=values
    )
    flags.DEFINE_float(
        "share",
        None,
        "Look at this share of the pictures and of the clips, above 0 and at "
        "most 1; by default at as many as half a minute allows.",
        flag_values=values,
    )
    command.define_path("json", "", "Also write all of it here.", values)
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(NAME, __doc__, define_flags(), argv, _work)


def _work(values: flags.FlagValues) -> None:
    """Checks everything a user can get wrong, then looks."""
    config = _config(values)
    out = pathlib.Path(values.json) if values.json else None
    if out is not None and not out.absolute().parent.is_dir():
        raise FileNotFoundError(
            f"--json={out}: there is no folder {out.absolute().parent}."
        )
    if out is not None and out.is_dir():
        raise IsADirectoryError(f"--json={out} is a folder. Name a file.")
    run_settings.check_paths(config)
    # What is skipped is told by what this prints, once.
    logging.set_verbosity(logging.ERROR)
    from mtssl_tf.checkup import checkup
    from mtssl_tf.checkup import findings

    found = checkup.check(config, values.share, recipes.default_tasks())
    print(findings.as_text(found))
    if out is not None:
        text = json.dumps(findings.as_json(found), indent=1)
        atomic_file.write_text(out, text + "\n")


def _config(values: flags.FlagValues) -> config_lib.RunConfig:
    if values.share is not None and not 0 < values.share <= 1:
        raise ValueError(
            f"--share={values.share:g} is no share: above 0 and at most 1."
        )
    named = {"images": values.images, "videos": values.videos}
    if not any(named.values()):
        raise ValueError(
            "Neither --images nor --videos is named: name what to look at."
        )
    return run_settings.build_config(
        values.tasks,
        values.preset,
        **named,
        value_range=values.value_range,
        assignments=values.set,
    )


if __name__ == "__main__":
    command.end(main(sys.argv))
