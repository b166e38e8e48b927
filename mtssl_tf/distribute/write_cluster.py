r"""Writes a cluster file from a list of hosts, as schedulers give it.

    python -m mtssl_tf.distribute.write_cluster --hosts=FILE --tasks=a,b \
        --workers=4 --secret=FILE --out=DIR

The file has a host a line, one for each role. Roles take them in order, the
store first; `DIR/roles` names the role of each line.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import dataclasses
import json
import pathlib
import sys

from mtssl_tf.distribute import cluster as cluster_lib


def build_cluster(
    hosts: Sequence[str],
    task_names: Sequence[str],
    num_workers: int,
    num_shards: int,
    first_port: int,
    secret_file: str,
) -> cluster_lib.Cluster:
    """Returns a cluster over these hosts, a port for each of a host's roles.

    Raises:
        ValueError: there are fewer or more hosts than roles.
    """
    num_roles = num_shards + num_workers * len(task_names)
    if len(hosts) != num_roles:
        raise ValueError(
            f"{len(task_names)} tasks with {num_workers} workers and "
            f"{num_shards} shards are {num_roles} roles; there are "
            f"{len(hosts)} hosts. Give a host for each role."
        )
    addresses = [
        f"{host}:{first_port + list(hosts[:i]).count(host)}"
        for i, host in enumerate(hosts)
    ]
    return cluster_lib.Cluster(
        {
            name: tuple(addresses[num_shards + num_workers * i :][:num_workers])
            for i, name in enumerate(task_names)
        },
        tuple(addresses[:num_shards]),
        secret_file,
    )


def main(argv: Sequence[str]) -> int:
    """Writes `cluster.json` and `roles`; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m mtssl_tf.distribute.write_cluster"
    )
    parser.add_argument("--hosts", required=True, help="File, a host a line.")
    parser.add_argument("--tasks", required=True, help="With commas between.")
    parser.add_argument("--workers", type=int, default=1, help="Of each task.")
    parser.add_argument("--shards", type=int, default=1, help="Of the store.")
    parser.add_argument("--port", type=int, default=7000, help="The first.")
    parser.add_argument("--secret", required=True, help="File of the secret.")
    parser.add_argument("--out", required=True, help="Folder to write to.")
    options = parser.parse_args(argv)
    try:
        cluster = build_cluster(
            pathlib.Path(options.hosts).read_text().split(),
            options.tasks.split(","),
            options.workers,
            options.shards,
            options.port,
            options.secret,
        )
        out = pathlib.Path(options.out)
        (out / "cluster.json").write_text(
            json.dumps(dataclasses.asdict(cluster), indent=2) + "\n"
        )
        roles = "".join(f"{role}\n" for role in cluster.roles())
        (out / "roles").write_text(roles)
    except (ValueError, OSError) as error:
        print(f"mtssl_tf.distribute.write_cluster: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
