"""Turns TF-Slim's checkpoints into run directories and back.

    python -m mtssl_tf.slim_checkpoint import --checkpoint=PATH --out=DIR
    python -m mtssl_tf.slim_checkpoint export --workdir=DIR --out=PREFIX

`docs/trunk.md` shows how to use them.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

import argparse
from collections.abc import Sequence
import pathlib
import shlex
import sys

from mtssl_tf import config
from mtssl_tf import motion
from mtssl_tf import train_settings
from mtssl_tf import version
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import resnet_v2
from mtssl_tf.process import atomic_file
from mtssl_tf.process import command
from mtssl_tf.process import lock
from mtssl_tf.training import run_directory

REPORT_FILE = "import_report.txt"
NAME = "mtssl_tf.slim_checkpoint"


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""

    def work() -> None:
        args = _parser().parse_args(argv)
        beside = lock.hold_name(args.out, command.end_at_lost_lock(NAME))
        with beside:
            atomic_file.remove_partials(args.out)  # of who was killed
            args.run(args)

    return command.call(NAME, work)


def _path(text: str) -> pathlib.Path:
    return pathlib.Path(command.path(text))


def _parser() -> argparse.ArgumentParser:
    parser = command.Parser(
        prog="python -m mtssl_tf.slim_checkpoint",
        description="Turns TF-Slim's ResNet v2 and VGG-16 checkpoints into "
        "run directories and back.",
    )
    commands = parser.add_subparsers(required=True, metavar="import|export")
    importing = commands.add_parser(
        "import", help="makes a run directory of a TF-Slim checkpoint"
    )
    importing.set_defaults(run=_import)
    importing.add_argument(
        "--checkpoint",
        required=True,
        type=command.path,
        help="V2 prefix, V1 file, directory or .tar.gz",
    )
    importing.add_argument(
        "--out", required=True, type=_path, help="new run directory"
    )
    importing.add_argument(
        "--contract",
        default="",
        help="input range: 'vgg' for google-deepmind/multiself and vgg_16, "
        "'inception' for TF-Slim's resnet_v2_*_2017_04_14, or R,G,B,SCALE; "
        "needed unless the checkpoint was exported from here",
    )
    importing.add_argument(
        "--output_stride",
        type=int,
        default=16,
        choices=resnet_v2.OUTPUT_STRIDES,
    )
    importing.add_argument(
        "--scope", help="of the trunk, where the checkpoint holds several"
    )
    importing.add_argument(
        "--partial",
        default="",
        help="variables or layers, with commas between, that may be missing "
        "here or there, such as block3/unit_23",
    )
    exporting = commands.add_parser(
        "export", help="writes a run's trunk as a TF-Slim checkpoint"
    )
    exporting.set_defaults(run=_export)
    exporting.add_argument(
        "--workdir",
        required=True,
        type=command.path,
        help="run directory, or an export",
    )
    exporting.add_argument(
        "--out", required=True, type=_path, help="prefix to write"
    )
    return parser


def _import(args: argparse.Namespace):
    from mtssl_tf.slim import checkpoint as slim_checkpoint
    from mtssl_tf.training import checkpoint

    if args.out.exists():
        raise FileExistsError(f"--out={args.out} exists. Name a new directory.")
    contract = (
        input_contract.InputContract.parse(args.contract)
        if args.contract
        else None
    )
    loaded, report = slim_checkpoint.load_with_report(
        args.checkpoint,
        args.output_stride,
        contract,
        args.scope,
        [name for name in args.partial.split(",") if name],
    )
    with atomic_file.new_folder(args.out) as partial:
        (partial / run_directory.CONFIG_FILE).write_text(
            config.to_json(
                _settings(loaded.config, loaded.contract),
                version=version.VERSION,
                command=shlex.join(sys.orig_argv),
            )
        )
        (partial / REPORT_FILE).write_text(f"{report.details()}\n")
        checkpoint.save_imported(partial, loaded.trunk, loaded.block4)
    print(report.summary())
    print(f"Wrote {args.out}; {REPORT_FILE} in it names every variable.")


def _settings(
    trunk: model_config.TrunkConfig, contract: input_contract.InputContract
) -> config.RunConfig:
    """Returns the settings of a run that has no tasks yet."""
    return config.RunConfig(
        preset="",
        tasks={},
        trunk=trunk,
        train=train_settings.TrainConfig(),
        data=config.DataConfig(),
        motion=motion.MotionConfig(),
        lasso=model_config.LassoConfig(),
        contract=contract,
    )


def _export(args: argparse.Namespace):
    from mtssl_tf import pretrained as pretrained_lib
    from mtssl_tf.slim import checkpoint

    index = args.out.with_name(f"{args.out.name}.index")
    if index.exists():
        raise FileExistsError(f"{index} exists. Name another --out.")
    pretrained = pretrained_lib.load_pretrained(args.workdir)
    checkpoint.save(
        pretrained.trunk,
        str(args.out),
        block4=pretrained.block4,
        contract=pretrained.contract,
    )
    print(f"Wrote {index} and what belongs to it.")


if __name__ == "__main__":
    command.end(main(sys.argv[1:]))
