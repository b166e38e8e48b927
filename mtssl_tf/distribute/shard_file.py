"""A shard on disk after every commit: what `--strict_store` adds."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from mtssl_tf.distribute import trunk_store
from mtssl_tf.process import atomic_file

FOLDER = "store"
_HEADER = "header"


def shard_path(workdir: pathlib.Path, shard: int) -> pathlib.Path:
    """Returns where a shard is kept."""
    return workdir / FOLDER / f"shard_{shard:02d}.npz"


def save_shard(path: pathlib.Path, store: trunk_store.TrunkStore) -> None:
    """Writes all of a shard, atomically and durably.

    Raises:
        OSError: it cannot be written.
    """
    names = store.names()
    header = json.dumps({"names": names, "committed": store.committed})
    arrays: dict[str, Any] = {
        str(i): store.dump(*name).numpy() for i, name in enumerate(names)
    }
    arrays[_HEADER] = np.array(header)
    with atomic_file.open_new(path) as file:
        np.savez(file, **arrays)


def load_shard(path: pathlib.Path, store: trunk_store.TrunkStore) -> None:
    """Fills and opens a shard with what `save_shard` wrote."""
    with np.load(path) as stored:
        header = json.loads(str(stored[_HEADER]))
        for i, (name, chunk) in enumerate(header["names"]):
            store.load(name, chunk, tf.constant(stored[str(i)]))
    store.open(header["committed"])


def load_committed(path: pathlib.Path) -> dict[str, int]:
    """Returns the steps that a kept shard is at; empty if there is none."""
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return json.loads(str(stored[_HEADER]))["committed"]
