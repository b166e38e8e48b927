"""How the workers of a group find each other, before TensorFlow is used."""

from __future__ import annotations

from collections.abc import Sequence
import json
import os
import socket

from absl import logging
import tensorflow as tf

from mtssl_tf.distribute import worker
from mtssl_tf.process import cores


def find_free_port() -> int:
    """Returns a port of this host that nobody has now."""
    with socket.create_server(("", 0)) as probe:
        return probe.getsockname()[1]


def connect(
    job: worker.Job, addresses: Sequence[str]
) -> tuple[
    tf.distribute.Strategy, tf.distribute.experimental.CommunicationOptions
]:
    """Returns a worker's strategy, and options of its all-reduce.

    To be called before all other use of TensorFlow. A peer that never comes
    is the supervisor's business: it ends this process.
    """
    num_cores = cores.count()
    # A thread that waits for a peer is a thread less: seen with one, a group
    # of two workers waits for ever.
    tf.config.threading.set_intra_op_parallelism_threads(max(2, num_cores))
    tf.config.threading.set_inter_op_parallelism_threads(max(8, num_cores))
    kinds = tf.distribute.experimental.CommunicationImplementation
    gpus = tf.config.list_physical_devices("GPU")
    options = tf.distribute.experimental.CommunicationOptions(
        timeout_seconds=job.options.peer_timeout_s,
        implementation=kinds.NCCL if gpus else kinds.RING,
    )
    os.environ.pop("TF_CONFIG", None)
    if job.is_alone or job.size == 1:
        return tf.distribute.get_strategy(), options
    os.environ["TF_CONFIG"] = json.dumps(
        {
            "cluster": {"worker": list(addresses)},
            "task": {"type": "worker", "index": job.rank},
        }
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=options
    )
    return strategy, options


def log_listening(job: worker.Job, address: str) -> None:
    """Says what of a group is open to the network."""
    if job.size > 1 and not job.is_alone:
        logging.info(
            "TensorFlow's collectives listen on every interface of this "
            "host, at the port of %s, without any check of who connects. "
            "Keep the port inside a private network.",
            address,
        )
