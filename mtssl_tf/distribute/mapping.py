"""`--cluster` of commands that spread many items: masks, embeddings.

Nothing here imports Ray before there is work: a mistake is answered at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
import functools
import pathlib

from absl import flags

from mtssl_tf.distribute import options
from mtssl_tf.process import cores
from mtssl_tf.process import local_map


def define_flags(items: str, values: flags.FlagValues) -> None:
    """Defines `--cluster` and `--allow_open_cluster`.

    Args:
        items: what is spread, for --help.
        values: gets the flags.
    """
    flags.DEFINE_string(
        "cluster",
        "",
        f"Spreads {items} over a Ray cluster (docs/distributed.md): local "
        "starts one here, auto joins the one that runs here, HOST:PORT that "
        "of another head.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "allow_open_cluster",
        False,
        "With --cluster: join a Ray that asks nobody for a token.",
        flag_values=values,
    )


def check_flags(values: flags.FlagValues) -> None:
    """Raises ValueError where the two flags are mistaken."""
    if values.cluster:
        options.check_address(values.cluster)
    elif values.allow_open_cluster:
        raise ValueError("--allow_open_cluster is for --cluster.")


@contextlib.contextmanager
def over_cluster(
    values: flags.FlagValues,
    folder: pathlib.Path,
    data: Sequence[tuple[str, str]],
    num_cpus: float = 1.0,
    num_gpus: float | None = 0.0,
    memory_gib: float = 0.0,
) -> Iterator[local_map.MapAll]:
    """Gives what spreads items over the cluster that `--cluster` names.

    Args:
        values: with the flags above.
        folder: what all hosts write to; is made if it is missing.
        data: (flag, folder) of what all hosts read.
        num_cpus: that each item takes.
        num_gpus: likewise; None is one where the cluster has any.
        memory_gib: likewise; 0 is not counted.

    Raises:
        ValueError: as `start_ray.connected`, and where a host lacks a folder.
    """
    from mtssl_tf.distribute import start_ray

    with start_ray.connected(
        values.cluster,
        cores.count(),
        allows_open=values.allow_open_cluster,
    ):
        import ray

        from mtssl_tf.distribute import cluster_map
        from mtssl_tf.distribute import hosts

        folder.mkdir(parents=True, exist_ok=True)
        hosts.check_hosts(folder, data)
        if num_gpus is None:
            num_gpus = float("GPU" in ray.cluster_resources())
        yield functools.partial(
            cluster_map.cluster_map,
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            memory_gib=memory_gib,
        )
