"""Which run a folder holds, so that no other one goes on from it."""

from __future__ import annotations

from collections.abc import Mapping
import json
import pathlib
from typing import Any

from evaluation import result
from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file

RUN_FILE = "run.json"
SAVED_MODEL = "saved_model"
# A linear layer's lie beside the file.
_CHECKPOINTS = ("*.index", "checkpoints/*.index")


def check_same_run(
    folder: pathlib.Path,
    protocol: result.Protocol,
    trunk: result.EvaluatedTrunk,
    digests: Mapping[str, str],
    seed: int,
) -> None:
    """Writes what the run is, or checks that it is the one found there.

    Args:
        folder: of the run, created if it is missing.
        protocol: every setting.
        trunk: what is evaluated.
        digests: of the data that a change of makes it another run, by name.
        seed: of everything random.

    Raises:
        ValueError: another run lies there, and what differs is named; or
            nobody knows which one.
    """
    wanted: dict[str, Any] = {
        "protocol_id": protocol.id,
        "trunk": trunk.digest,
        **digests,
        "seed": seed,
    }
    path = folder / RUN_FILE
    if not path.is_file():
        if any(atomic_file.find(folder, each) for each in _CHECKPOINTS):
            raise ValueError(
                f"{folder} holds checkpoints and no {RUN_FILE}, which says of "
                "which run they are. Put it back, or choose another --out."
            )
        if (folder / SAVED_MODEL).exists():
            raise ValueError(
                f"{folder} holds a {SAVED_MODEL} of something else, as an "
                "export does, in whose place ours would come. Choose another "
                "--out."
            )
        atomic_file.write_text(path, json.dumps(wanted, indent=2) + "\n")
        return
    found = json_file.load_object(
        path, "It says which run lies there: choose another --out."
    )
    changed = sorted(key for key in wanted if wanted[key] != found.get(key))
    if changed:
        raise ValueError(
            f"{folder} holds a run that differs in {changed}: "
            f"{[found.get(key) for key in changed]} there, "
            f"{[wanted[key] for key in changed]} now. Choose another --out."
        )
