"""A function over many items, on all hosts of a Ray cluster.

For work whose items know nothing of each other: a clip's masks, a folder's
embeddings, a run of a table. It goes on from where it stopped if its function
does: one that finds an item's result on disk returns it, and costs one call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import logging
import ray
from ray import exceptions

from mtssl_tf.distribute import hosts
from mtssl_tf.process import local_map

MAX_RETRIES = 2  # ours: of an item whose process or host dies
_AHEAD = 4  # ours: items asked for at a time, per CPU of the cluster


def cluster_map(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    num_cpus: float = 1.0,
    num_gpus: float = 0.0,
    memory_gib: float = 0.0,
) -> Iterator[tuple[int, Any]]:
    """Calls a function with every item, wherever there is room.

    An item whose process or host dies is tried again elsewhere, `MAX_RETRIES`
    times; one whose function raises is not: it would again. Hosts that join
    while it runs get their share.

    Args:
        function: to be called in other processes, so of a module's top level.
        items: in the order in which they are begun.
        num_cpus: that each item takes.
        num_gpus: likewise.
        memory_gib: likewise; 0 asks for none, so that it is not counted.

    Yields:
        An item's index and its result, as results come; an exception where
        there is none: the function's own, or a `CrashedError`.
    """
    remote = ray.remote(function).options(
        num_cpus=num_cpus,
        num_gpus=num_gpus,
        memory=memory_gib * 2**30 or None,
        max_retries=MAX_RETRIES,
    )
    _tell_if_none_has_room(num_cpus, num_gpus, memory_gib)
    waiting = iter(enumerate(items))
    pending: dict[Any, int] = {}
    try:
        while True:
            room = _AHEAD * int(ray.cluster_resources().get("CPU", 1))
            while len(pending) < room:
                index, item = next(waiting, (-1, None))
                if index < 0:
                    break
                pending[remote.remote(item)] = index
            if not pending:
                return
            for done in ray.wait(list(pending))[0]:
                yield pending.pop(done), _outcome(done)
    finally:
        for call in pending:  # after an interrupt
            ray.cancel(call, force=True)


def _tell_if_none_has_room(
    num_cpus: float, num_gpus: float, memory_gib: float
) -> None:
    """Warns where an item fits on no host, and so waits for another one."""
    wanted = {"CPU": num_cpus, "GPU": num_gpus, "memory": memory_gib * 2**30}
    resources = [node["Resources"] for node in hosts.alive_nodes()]
    for host in resources:
        if all(host.get(kind, 0) >= least for kind, least in wanted.items()):
            return
    most = {k: max(host.get(k, 0) for host in resources) for k in wanted}
    logging.warning(
        "No host has %g CPUs, %g GPUs and %g GiB of memory at once, as each "
        "item asks for; the largest have %g, %g and %.3g. Waiting for one that "
        "has. Ask for less, or add a host.",
        num_cpus,
        num_gpus,
        memory_gib,
        most["CPU"],
        most["GPU"],
        most["memory"] / 2**30,
    )


def _outcome(call: Any) -> Any:
    try:
        return ray.get(call)
    except exceptions.RayTaskError as error:
        return error.cause
    except exceptions.RayError as error:
        # Ray's own text has many lines, of its logs.
        return local_map.CrashedError(
            "crashed the process that worked on it, "
            f"{MAX_RETRIES + 1} times ({type(error).__name__})"
        )
