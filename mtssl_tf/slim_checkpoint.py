"""Turns TF-Slim's checkpoints into run directories and back.

    python -m mtssl_tf.slim_checkpoint import --checkpoint=PATH --out=DIR
    python -m mtssl_tf.slim_checkpoint export --workdir=DIR --out=PREFIX

`docs/trunk.md` shows how to use them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import pathlib
import shlex
import sys

from mtssl_tf import config
from mtssl_tf import motion
from mtssl_tf import version
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.process import atomic_file
from mtssl_tf.process import keras_settings
from mtssl_tf.training import run_directory

REPORT_FILE = "import_report.txt"
EXIT_USER_ERROR = 2


def main(argv: Sequence[str] | None = None):
    """Runs the command; a mistake is one line and exit code 2."""
    args = _parser().parse_args(argv)
    try:
        keras_settings.fix()
        args.run(args)
    except (ValueError, OSError) as error:
        print(f"mtssl_tf.slim_checkpoint: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mtssl_tf.slim_checkpoint",
        description="Turns TF-Slim's ResNet v2 checkpoints into run "
        "directories and back.",
    )
    commands = parser.add_subparsers(required=True, metavar="import|export")
    importing = commands.add_parser(
        "import", help="makes a run directory of a TF-Slim checkpoint"
    )
    importing.set_defaults(run=_import)
    importing.add_argument(
        "--checkpoint",
        required=True,
        help="V2 prefix, V1 file, directory or .tar.gz",
    )
    importing.add_argument(
        "--out", required=True, type=pathlib.Path, help="new run directory"
    )
    importing.add_argument(
        "--contract",
        default="",
        help="input range: 'vgg' for google-deepmind/multiself, 'inception' "
        "for TF-Slim's resnet_v2_*_2017_04_14, or R,G,B,SCALE; needed unless "
        "the checkpoint was exported from here",
    )
    importing.add_argument(
        "--output_stride",
        type=int,
        default=16,
        choices=model_config.OUTPUT_STRIDES,
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
        "--workdir", required=True, help="run directory, or an export"
    )
    exporting.add_argument(
        "--out", required=True, type=pathlib.Path, help="prefix to write"
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
        train=config.TrainConfig(),
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
    main()
