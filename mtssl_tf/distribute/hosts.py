"""Asks every host of a cluster for what a command needs there."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
import socket
from typing import Any
import uuid

from absl import logging
import ray
from ray import exceptions
from ray.util import scheduling_strategies

from mtssl_tf import version

TOKEN_FILE = "cluster_run"


def check_hosts(folder: pathlib.Path, data: Sequence[tuple[str, str]]) -> None:
    """Raises where a host lacks what a command needs.

    Args:
        folder: what the command writes; must be the same on all hosts.
        data: (flag, folder) of what must be there on all hosts.

    Raises:
        ValueError: names the host and what to do.
        OSError: `folder` cannot be written.
    """
    token = uuid.uuid4().hex
    (folder / TOKEN_FILE).write_text(token)
    answers = {
        node["NodeID"]: _describe_host.options(
            scheduling_strategy=scheduling_strategies.NodeAffinitySchedulingStrategy(
                node["NodeID"], soft=False
            )
        ).remote(str(folder.resolve()), token, list(data))
        for node in alive_nodes()
    }
    hosts = []
    for each, answer in answers.items():
        try:
            hosts.append(ray.get(answer))
        except exceptions.RayError:
            if each in {node["NodeID"] for node in alive_nodes()}:
                raise
            logging.warning("A host died while it was asked what it has.")
    others = {host["version"] for host in hosts} - {version.VERSION}
    if others:
        raise ValueError(
            f"A host has version {', '.join(others)} of this package; "
            f"this command has {version.VERSION}. Install the same."
        )
    lacking = [host["lacking"] for host in hosts if host["lacking"]]
    if lacking:
        raise ValueError(lacking[0])


def alive_nodes() -> list[dict[str, Any]]:
    """Returns what Ray knows of the hosts that are there."""
    return [node for node in ray.nodes() if node["Alive"]]


@ray.remote(num_cpus=0, max_retries=0)
def _describe_host(
    folder: str, token: str, data: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """Returns a host's `version` of this package, and what is `lacking`."""
    return {
        "version": version.VERSION,
        "lacking": _find_lacking(folder, token, data),
    }


def _find_lacking(
    folder: str, token: str, data: Sequence[tuple[str, str]]
) -> str:
    host = socket.gethostname()
    try:
        is_same = (pathlib.Path(folder) / TOKEN_FILE).read_text() == token
    except OSError:
        is_same = False
    if not is_same:
        return (
            f"Host {host} does not see the folder {folder} that this command "
            "writes. Put it on a disk that all hosts share."
        )
    for flag, path in data:
        if not pathlib.Path(path).is_dir():
            return (
                f"Host {host} has no folder --{flag}={path}. The data must "
                "lie under the same path on every host."
            )
    return ""
