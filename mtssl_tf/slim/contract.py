"""The input contract beside a TF-Slim checkpoint, which has no room for it."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from mtssl_tf.files import json_file
from mtssl_tf.models import input_contract


def contract_path(prefix: pathlib.Path) -> pathlib.Path:
    """Returns where the contract of the checkpoint `prefix` is written."""
    return prefix.with_name(f"{prefix.name}.input_contract.json")


def save_contract(contract: input_contract.InputContract, prefix: pathlib.Path):
    """Writes the contract beside the checkpoint `prefix`."""
    text = json.dumps(dataclasses.asdict(contract), indent=2)
    contract_path(prefix).write_text(f"{text}\n")


def resolve_contract(
    prefix: pathlib.Path, given: input_contract.InputContract | None
) -> input_contract.InputContract:
    """Returns the contract of a checkpoint: as written beside it or given.

    Nothing is assumed: features of pictures in the wrong range look right
    and are not.

    Raises:
        ValueError: there is none, or the two disagree.
    """
    path = contract_path(prefix)
    if not path.is_file():
        if given is None:
            raise ValueError(
                f"The input range of {prefix.name!r} is not known: TF-Slim "
                f"checkpoints don't hold it. Give "
                f"{list(input_contract.NAMED_CONTRACTS)}: "
                "'vgg' for google-deepmind/multiself, 'inception' for "
                "TF-Slim's resnet_v2_*_2017_04_14, or R,G,B,SCALE "
                "(--contract of `python -m mtssl_tf.slim_checkpoint import`)."
            )
        return given
    try:
        written = input_contract.InputContract(**json_file.load(path))
    except (TypeError, ValueError) as error:
        raise ValueError(f"Can't read {str(path)!r}: {error}") from error
    if given not in (None, written):
        raise ValueError(
            f"The checkpoint was written for {written}, but {given} was "
            "given. Leave the contract out to take what was written."
        )
    return written
