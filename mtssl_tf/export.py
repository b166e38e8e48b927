"""Exports a trained trunk: `python -m mtssl_tf.export`.

    python -m mtssl_tf.export --workdir=RUN --out=DIR|hf://USER/NAME
        [--format=savedmodel,keras,onnx,litert]

Writes the trunk in each format, with the input contract inside: RGB in 0..255
goes in. Each is loaded again and compared. Beside them lie the settings, the
statistics that `mtssl_tf.embed` needs, and a model card.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Mapping, Sequence
import dataclasses
import json
import pathlib
import sys
import tempfile
from typing import TYPE_CHECKING

from absl import flags

from mtssl_tf import export_record
from mtssl_tf import version
from mtssl_tf.data import remote
from mtssl_tf.files import hub
from mtssl_tf.formats import registry
from mtssl_tf.process import atomic_file
from mtssl_tf.process import base_names
from mtssl_tf.process import command
from mtssl_tf.process import lock
from mtssl_tf.process import paths
from mtssl_tf.training import run_directory

if TYPE_CHECKING:
    from mtssl_tf import pretrained as pretrained_lib

NAME = "mtssl_tf.export"
CARD_FILE = "README.md"
_UNKNOWN_LICENSE = "unknown"  # the hub's word for it


def export_trunk(
    workdir: pathlib.Path,
    out: pathlib.Path,
    formats: Sequence[str] = registry.DEFAULT,
    license_id: str = _UNKNOWN_LICENSE,
) -> export_record.ExportRecord:
    """Exports a run's trunk.

    Args:
        workdir: run directory.
        out: folder to write; appears whole or not at all.
        formats: names in `registry.FORMATS`.
        license_id: of the weights, as model hubs abbreviate it.

    Returns:
        What `export.json` holds.

    Raises:
        ArithmeticError: a format gives other numbers than the trunk.
        FileExistsError: `out` is there already.
        FileNotFoundError: the run has no checkpoint.
        ValueError: a format is unknown, or what it needs is not installed.
    """
    registry.check(formats)
    if out.exists():
        raise FileExistsError(
            f"--out={out} exists. Name a new folder, or remove that one."
        )
    if not (workdir / run_directory.CONFIG_FILE).is_file():
        raise FileNotFoundError(
            f"--workdir={workdir} is no run directory: it holds no "
            f"{run_directory.CONFIG_FILE}."
        )
    # TensorFlow, once there is work.
    from mtssl_tf import model_card
    from mtssl_tf import pretrained as pretrained_lib

    pretrained = pretrained_lib.load_pretrained(str(workdir))
    with atomic_file.new_folder(out) as partial:
        differences = _write_formats(pretrained, partial, formats)
        record = export_record.ExportRecord(
            export_record.FORMAT,
            {task: list(mix) for task, mix in pretrained.mixes.items()},
            _write_statistics(pretrained, workdir, partial),
            differences,
            version.VERSION,
        )
        export_record.save(record, partial)
        settings = run_directory.load_settings(workdir)
        run_directory.copy_settings(workdir, partial)
        card = model_card.write_card(
            pretrained, settings, workdir, record, license_id
        )
        atomic_file.write_text(partial / CARD_FILE, card)
    return record


def _write_formats(
    pretrained: pretrained_lib.Pretrained,
    folder: pathlib.Path,
    names: Sequence[str],
) -> dict[str, float]:
    """Writes all formats; returns what each one's check found.

    The SavedModel is compared with the trunk, the others with the SavedModel
    where there is one.
    """
    from mtssl_tf.formats import comparison

    reference = comparison.extract_of(pretrained)
    differences = {}
    # The SavedModel first, if it is wanted.
    for name in sorted(names, key=list(registry.FORMATS).index):
        each = registry.FORMATS[name]
        each.write(pretrained, folder / each.path)
        reloaded = each.load(folder / each.path)
        differences[name] = max(
            comparison.largest_difference(reference, extract, each.path)
            for extract in reloaded
        )
        if name == registry.SAVED_MODEL:
            reference = reloaded[0]
    return differences


def _write_statistics(
    pretrained: pretrained_lib.Pretrained,
    workdir: pathlib.Path,
    folder: pathlib.Path,
) -> str:
    """Writes statistics; returns of what, or why there are none."""
    from mtssl_tf.embedding import own_statistics
    from mtssl_tf.frozen import statistics as statistics_lib

    try:
        measured = own_statistics.measure_on_training_pictures(
            pretrained, workdir
        )
    except (ValueError, OSError) as error:
        return f"none: {command.describe(error)}"
    statistics_lib.save(measured, folder / export_record.STATISTICS_FILE)
    count = next(iter(measured.values())).num_pictures
    return f"of {count} pictures that the run was trained on"


def define_flags() -> flags.FlagValues:
    """Returns this program's flags, apart from those of any other."""
    values = flags.FlagValues()
    flags.DEFINE_string(
        "upload",
        "",
        "URL (gs://, s3://, ...) that --out is copied to as well.",
        flag_values=values,
    )
    command.define_path("workdir", "", "Run directory to export.", values)
    command.define_path(
        "out",
        "",
        "Folder to write, which must not exist; or hf://USER/NAME, to upload.",
        values,
    )
    flags.DEFINE_list(
        "format",
        list(registry.DEFAULT),
        f"Formats, of {', '.join(registry.FORMATS)}; each but the first two "
        "is an extra of mtssl_tf.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "license",
        _UNKNOWN_LICENSE,
        "Of the weights, for the card, as model hubs abbreviate it.",
        flag_values=values,
    )
    return values


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(NAME, __doc__, define_flags(), argv, _work)


def _work(values: flags.FlagValues) -> None:
    """Exports, and prints what the checks found."""
    if not values.workdir or not values.out:
        raise ValueError("Both --workdir and --out must be named.")
    registry.check(values.format)
    if values.upload:
        if hub.is_on_hub(values.out):
            raise ValueError(
                f"--upload={values.upload} copies a folder, and --out="
                f"{values.out} is none. Leave one out."
            )
        remote.check(values.upload)
    if hub.is_on_hub(values.out):
        record = _export_to_hub(values)
    else:
        out = pathlib.Path(values.out)
        paths.check_parent(out, f"--out={out}")
        with lock.hold_name(out, command.end_at_lost_lock(NAME)):
            atomic_file.remove_partials(out)
            record = _export(values, out)
        if values.upload:
            remote.upload(out, values.upload, export_record.FILE)
            print(f"Copied to {values.upload}.")
    print(
        f"Exported to {values.out}. Reloaded, each format gives the same "
        "numbers; the largest difference in parts of the largest feature: "
        f"{_describe(record.differences)}."
    )
    print(f"Statistics for mtssl_tf.embed: {record.statistics}.")


def _export(
    values: flags.FlagValues, out: pathlib.Path
) -> export_record.ExportRecord:
    return export_trunk(
        pathlib.Path(values.workdir), out, values.format, values.license
    )


def _export_to_hub(values: flags.FlagValues) -> export_record.ExportRecord:
    hub.check_upload(values.out)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "export"
        record = _export(values, folder)
        _leave_out_folders(folder, record)
        hub.upload(folder, values.out)
    return record


def _leave_out_folders(
    folder: pathlib.Path, record: export_record.ExportRecord
) -> None:
    """Takes this machine's folders out of what will be public.

    The card has none of them.
    """
    settings = run_directory.load_settings(folder)
    statistics = base_names.in_text(record.statistics, settings)
    public = dataclasses.replace(record, statistics=statistics)
    export_record.save(public, folder)
    short = base_names.of_settings(settings)
    text = json.dumps(short, indent=2) + "\n"
    atomic_file.write_text(folder / run_directory.CONFIG_FILE, text)


def _describe(differences: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {d:.1e}" for name, d in differences.items())


if __name__ == "__main__":
    command.end(main(sys.argv))
