"""Starts a whole cluster on this machine.

    python -m mtssl_tf.distribute.launch --cluster=local:2 -- <train flags>

TensorFlow is imported once; each role is a fork of this process, which takes
no part in the work. What dies is started again. All output comes to this
terminal, with the role in front, and one line shows where the run stands.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import contextlib
import dataclasses
import os
import pathlib
import random
import secrets
import socket
import sys

from absl import flags
from absl import logging

from mtssl_tf import config as config_lib
from mtssl_tf import pretraining
from mtssl_tf import train_flags
from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.process import keras_settings
from mtssl_tf.training import run_directory

_EXIT_USER_ERROR = 2
_SECRET_FILE = "secret"
_LOCAL = "local:"
_KERNELS_PORTS = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORTS = range(10_000, 65_536)  # ours


def build_local_cluster(
    task_names: Sequence[str],
    num_workers: int,
    num_shards: int,
    folder: pathlib.Path,
    **settings: str | float,
) -> cluster_lib.Cluster:
    """Returns a cluster on loopback, with a new secret.

    Args:
        task_names: a group for each.
        num_workers: of each group.
        num_shards: of the store.
        folder: where the secret is kept, for this user's eyes only.
        **settings: of `Cluster`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _SECRET_FILE
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    ports = find_free_ports(num_shards + num_workers * len(task_names))
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return cluster_lib.from_dict(
        {
            "store": addresses[:num_shards],
            "tasks": {
                name: addresses[num_shards + num_workers * i :][:num_workers]
                for i, name in enumerate(task_names)
            },
            "secret_file": str(path),
            **settings,
        }
    )


def find_free_ports(count: int) -> list[int]:
    """Returns ports of loopback that nobody has, nor gets by asking for any.

    A role takes its port seconds after this; meanwhile the kernel may give
    away any of its own range, to connections too.
    """
    low, high = map(int, _KERNELS_PORTS.read_text().split())
    candidates = [port for port in _PORTS if not low <= port <= high]
    ports: list[int] = []
    for port in random.SystemRandom().sample(candidates, len(candidates)):
        if len(ports) == count:
            return ports
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            ports.append(port)
    raise OSError(f"{count} ports of loopback are not free.")


def main(argv: Sequence[str]) -> int:
    """Starts the cluster; returns the exit code."""
    own, train_flags = _split(argv)
    options = _parse(own)
    try:
        num_workers = _parse_local(options.cluster)
        # The cluster's flags are this program's own; roles come by fork.
        config, workdir = prepare([sys.argv[0], *train_flags])
        cluster = build_local_cluster(
            list(config.tasks),
            num_workers,
            options.store_shards,
            workdir / "store",
            mode=options.mode,
            batch_norm=options.batch_norm,
        )
        settings = settings_lib.from_flags(
            config, workdir, cluster, cluster_lib.Role(cluster_lib.STORE, 0)
        )
    except (ValueError, OSError) as error:
        print(f"mtssl_tf.distribute.launch: {error}", file=sys.stderr)
        return _EXIT_USER_ERROR
    from mtssl_tf.distribute import supervisor

    return supervisor.Supervisor(
        [
            dataclasses.replace(settings, role=role)
            for role in settings.cluster.roles()
        ],
        options.max_restarts,
    ).run()


def prepare(argv: Sequence[str]) -> tuple[config_lib.RunConfig, pathlib.Path]:
    """Parses flags and prepares the run directory, for the launcher.

    Raises:
        ValueError: something is unknown or does not fit together.
        OSError: data is missing, or the directory cannot be written.
    """
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        raise ValueError(str(error)) from error
    if len(rest) > 1:
        raise ValueError(f"There are only flags here, got {rest[1:]}.")
    if train_flags.CLUSTER.value or train_flags.ROLE.value:
        raise ValueError(
            "--cluster and --role behind -- are for starting one role of "
            "several machines with mtssl_tf.train. Leave them out."
        )
    if train_flags.DRY_RUN.value:
        raise ValueError(
            "--dry_run describes one machine's run: give it to mtssl_tf.train."
        )
    if not train_flags.WORKDIR.value:
        raise ValueError("--workdir is missing: name a run directory.")
    config = train_flags.config_from_flags()
    pretraining.check_paths(config)
    keras_settings.fix()
    logging.set_verbosity(logging.INFO)
    config = pretraining.use_sample_set(config)
    workdir = pathlib.Path(train_flags.WORKDIR.value)
    run_directory.prepare(workdir, config)
    return config, workdir


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    arguments = list(argv)
    if "--" not in arguments:
        return arguments, []
    middle = arguments.index("--")
    return arguments[:middle], arguments[middle + 1 :]


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m mtssl_tf.distribute.launch",
        description="Trains with a group of workers for each task, and a "
        "store for the trunk, on this machine. Behind -- stand the flags of "
        "mtssl_tf.train.",
    )
    parser.add_argument(
        "--cluster", default="local:1", help="local:N, N workers for each task."
    )
    parser.add_argument(
        "--mode", default=cluster_lib.MODES[0], choices=cluster_lib.MODES
    )
    parser.add_argument(
        "--batch_norm",
        default=cluster_lib.BATCH_NORMS[0],
        choices=cluster_lib.BATCH_NORMS,
    )
    parser.add_argument("--store_shards", type=int, default=1)
    parser.add_argument(
        "--max_restarts", type=int, default=10, help="Of each group or shard."
    )
    return parser.parse_args(argv)


def _parse_local(text: str) -> int:
    count = text.removeprefix(_LOCAL)
    if not text.startswith(_LOCAL) or not count.isdigit() or int(count) < 1:
        raise ValueError(
            f"--cluster={text} is not local:N with N workers for each task. "
            "For several machines start each role with python -m "
            "mtssl_tf.train --cluster=FILE --role=ROLE."
        )
    return int(count)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
