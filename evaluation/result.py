"""What every evaluation writes: `result.json`, under a protocol with an id.

A number can be quoted only with the protocol that made it. A protocol is a
small frozen dataclass; its id covers its name, its version and every setting,
so that changing a setting changes the id.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import datetime
import functools
import hashlib
import json
import math
import os
import pathlib
import shlex
import sys
import typing
from typing import Any, ClassVar

from mtssl_tf import version as version_lib
from mtssl_tf.files import json_file
from mtssl_tf.process import atomic_file
from mtssl_tf.process import checkout

RESULT_FILE = "result.json"
# What the settings of a fine-tuning say besides where it has a lasso. Results
# without it had a threshold of l1 * rate alone, a tenth at momentum 0.9: under
# ids of their own, nobody compares the two.
PROXIMAL_STEP = {"proximal_step": "l1 * rate / (1 - momentum)"}

_ID_DIGITS = 8
_ROOT = pathlib.Path(__file__).resolve().parents[1]
_MIXES = "mixing_weights"  # as the lines of a run's log have them


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a benchmark is run. Subclasses add settings as fields.

    `version` rises when the code behind a protocol changes its meaning
    while its settings stay the same.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    def settings(self) -> dict[str, Any]:
        """Every setting, as plain values that JSON can hold."""
        return dataclasses.asdict(self)

    @property
    def id(self) -> str:
        """`name-vVERSION-DIGEST`, with a digest of the settings."""
        text = json.dumps(self.settings(), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]
        return f"{self.name}-v{self.version}-{digest}"


class EvaluatedTrunk(typing.Protocol):
    """What a result says about the trunk; `pretrained.Pretrained` has it."""

    @property
    def source(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def config(self) -> Any: ...


def save_result(
    out_dir: str | os.PathLike,
    protocol: Protocol,
    metrics: dict[str, Any],
    *,
    trunk: EvaluatedTrunk,
    data: dict[str, Any],
    seed: int,
    wall_time_s: float,
    extra: dict[str, Any] | None = None,
) -> pathlib.Path:
    """Writes `result.json` and returns its path.

    The file appears whole or not at all. Numbers that are not finite become
    null, since JSON has no word for them.

    Args:
        out_dir: folder, created if it is missing.
        protocol: what the metrics were measured by.
        metrics: name -> number, or a nested dict or list of numbers. Rates
            are in percent, errors in their own unit.
        trunk: what was evaluated.
        data: where the pictures came from: counts and digests.
        seed: of everything random in the evaluation.
        wall_time_s: of the evaluation, from its first picture.
        extra: further top-level entries.

    Raises:
        ValueError: `extra` would hide an entry that every result has.
    """
    record: dict[str, Any] = {
        "protocol_id": protocol.id,
        "protocol": protocol.settings(),
        "metrics": metrics,
        "trunk": {
            "source": str(trunk.source),
            "digest": trunk.digest,
            "config": _as_plain(trunk.config),
        },
        "data": data,
        "seed": seed,
        "wall_time_s": round(wall_time_s, 3),
        "command": shlex.join(sys.orig_argv),
        "version": version_lib.VERSION,
        "commit": checkout.commit(),
        "code": code_digest(),
        "finished": datetime.datetime.now(datetime.timezone.utc).isoformat(
            timespec="seconds"
        ),
    }
    hidden = sorted(set(extra or {}) & set(record))
    if hidden:
        raise ValueError(
            f"Extra entries {hidden} would hide entries that every result "
            "has. Give them other names."
        )
    record.update(extra or {})
    path = pathlib.Path(out_dir) / RESULT_FILE
    atomic_file.write_text(path, as_json(record))
    return path


@functools.cache
def code_digest() -> str:
    """Returns 16 hex digits that change with the code that makes a result.

    That is all of this package and of `mtssl_tf`: results of other code are
    not joined to a mean.
    """
    digest = hashlib.sha256()
    for package in ("evaluation", "mtssl_tf"):
        for path in sorted((_ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(_ROOT)}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def load_result(path: str | os.PathLike) -> dict[str, Any]:
    """Reads a result from its file or from the folder that holds it.

    Raises:
        FileNotFoundError: there is no result there.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / RESULT_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"No result at {path}. Give the --out folder of an evaluation "
            "that has finished."
        )
    return json_file.load_object(path, "Run the evaluation again.")


def mix_entries(
    evaluation: str, weights: Any, unit_names: Sequence[str]
) -> dict[str, Any]:
    """Returns what a result says of its mix, as `extra` of `save_result`.

    Args:
        evaluation: name of the evaluation, a row of the paper's Figure 4.
        weights: float32 [N], or None without a mix, which gives no entries.
        unit_names: of the N units, in depth order.
    """
    if weights is None:
        return {}
    return {_MIXES: {evaluation: weights}, "unit_names": list(unit_names)}


def load_mixes(path: str | os.PathLike) -> dict[str, list[float]]:
    """Reads a result's mixes by evaluation; none without a lasso.

    Raises:
        FileNotFoundError: there is no result there.
        ValueError: they are in the form of an earlier version.
    """
    mixes = load_result(path).get(_MIXES, {})
    if not isinstance(mixes, dict):
        raise ValueError(
            f"{path} has {_MIXES} without the evaluation's name, as an "
            "earlier version wrote them, with a lasso ten times weaker. "
            "Evaluate again with --lasso into another --out."
        )
    return mixes


def as_json(value: Any) -> str:
    """Returns JSON for people; what is not finite, as of no box, is null."""
    return json.dumps(_as_plain(value), indent=2, allow_nan=False) + "\n"


def _as_plain(value: Any) -> Any:
    """Turns dataclasses, NumPy values and paths into what JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _as_plain(dataclasses.asdict(value))
    if isinstance(value, dict):
        return {str(key): _as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return _as_plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, pathlib.PurePath):
        return str(value)
    return value
