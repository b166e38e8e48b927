"""What must be the same of a command's results, as digests by name."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import json
import pathlib
import re

import numpy as np

from mtssl_tf.process import atomic_file

# What says when, where to and how fast, and not what.
_TIMES = {
    *("wall_time_s", "wall_s", "images_per_s", "data_wait", "seconds"),
    *("pictures_per_s", "bare_pictures_per_s", "finished", "command"),
}
# The fingerprint of a SavedModel holds a random number, so that no two are
# alike.
_RANDOM = {"fingerprint.pb"}
_GRAPH = "saved_model.pb"
# TensorFlow numbers functions and tensors by what was traced before in the
# process: one that goes on behind the training has traced less.
_NUMBERED = re.compile(r'(__inference_[^"]*?)_\d+\b|\bs: "\d+"')

Digest = Callable[[pathlib.Path], dict[str, str]]


def hash_files(folder: pathlib.Path) -> dict[str, str]:
    """Returns a digest of every file; of JSON without its times."""
    return {
        str(path.relative_to(folder)): _hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _is_passing(path.relative_to(folder))
    }


def hash_run(workdir: pathlib.Path) -> dict[str, str]:
    """Returns digests of a run's last checkpoint, metrics and label cache.

    And of its snapshots and its best checkpoint, where they are kept.
    """
    from mtssl_tf.training import best
    from mtssl_tf.training import checkpoint

    digests = {}
    run = workdir / "run"
    for folder in (run, *sorted(run.glob("snapshots/*"))):
        tensors = _hash_tensors(checkpoint.latest(folder))
        digests.update(
            {f"{folder.name}/{name}": v for name, v in tensors.items()}
        )
    if (run / best.FOLDER).is_dir():
        record = (run / best.FOLDER / best.RECORD_FILE).read_text()
        digests["best.json"] = _hash_json(record)
        of_best = _hash_tensors(checkpoint.latest(run / best.FOLDER))
        digests.update({f"best: {k}": v for k, v in of_best.items()})
    # How often was saved is another number where more was saved.
    digests = {k: v for k, v in digests.items() if "save_counter" not in k}
    digests.update(hash_metrics(run / "metrics.jsonl"))
    cache = workdir / "cache"
    for path in cache.rglob("*"):
        if path.suffix in (".jpg", ".png"):
            digests[str(path.relative_to(cache))] = _hash_file(path)
    for path in workdir.rglob(f"*{atomic_file.PARTIAL_SUFFIX}"):
        digests[str(path.relative_to(workdir))] = "half written"
    return digests


def hash_metrics(path: pathlib.Path) -> dict[str, str]:
    """Returns digests of the lines of `metrics.jsonl`.

    By what they are about: on a cluster the order in which two tasks' lines
    come in is nobody's.
    """
    digests: dict[str, str] = {}
    for text in path.read_text().splitlines():
        line = json.loads(text)
        about = f"{line['step']} {line.get('task', '')} {line['split']}"
        name = f"metrics.jsonl: {about}"
        digests[name] = digests.get(name, "") + _hash_json(text)
    return digests


def hash_export(workdir: pathlib.Path) -> dict[str, str]:
    """Returns digests of the tensors of a SavedModel, and of its settings."""
    variables = workdir / "export" / "saved_model" / "variables" / "variables"
    files = {path.name for path in (workdir / "export").iterdir()}
    return {
        **_hash_tensors(str(variables)),
        "files": _hash(repr(sorted(files)).encode()),
    }


def _hash_tensors(path: str) -> dict[str, str]:
    """Returns digests of a checkpoint's tensors, but not of its graph."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(path)
    return {
        name: _hash(np.asarray(reader.get_tensor(name)).tobytes())
        for name in reader.get_variable_to_shape_map()
        if "_CHECKPOINTABLE" not in name
    }


def _is_passing(path: pathlib.Path) -> bool:
    """Returns whether a file is of the way there, and not of the end."""
    return (
        path.suffix in (".lock", ".log")
        or path.name in _RANDOM
        or any("checkpoints" in part for part in path.parts)
        or any("tensorboard" in part for part in path.parts)
    )


def _hash_file(path: pathlib.Path) -> str:
    if path.suffix == ".json":
        return _hash_json(path.read_text())
    if path.name == _GRAPH:
        return _hash_graph(path)
    return _hash(path.read_bytes())


def _hash_graph(path: pathlib.Path) -> str:
    """Returns a digest of a SavedModel's graphs, whatever their numbers.

    By its lines in any order: functions lie in the order of their names.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    text = str(saved_model_pb2.SavedModel.FromString(path.read_bytes()))
    lines = sorted(_NUMBERED.sub(r"\1", text).splitlines())
    return _hash("\n".join(lines).encode())


def _hash_json(text: str) -> str:
    return _hash(json.dumps(_without_times(json.loads(text))).encode())


def _without_times(value):
    if isinstance(value, dict):
        return {
            key: _without_times(each)
            for key, each in value.items()
            if key not in _TIMES
        }
    if isinstance(value, list):
        return [_without_times(each) for each in value]
    return value


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
