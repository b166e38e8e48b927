"""Runs one role of a cluster from its start to its exit code."""

from __future__ import annotations

import gc
import os
import sys

from absl import logging
import tensorflow as tf

from mtssl_tf.distribute import cluster
from mtssl_tf.distribute import coordinator
from mtssl_tf.distribute import leading_shard
from mtssl_tf.distribute import pusher
from mtssl_tf.distribute import report_for_work
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.distribute import shard
from mtssl_tf.distribute import store_client
from mtssl_tf.distribute import task_group
from mtssl_tf.process import memory
from mtssl_tf.process import stop_signal
from mtssl_tf.training import loop

EXIT_USER_ERROR = 2
# As sysexits.h has it: the same again may well work. The group is to restart.
EXIT_RESTART = 75


def run_role(settings: settings_lib.Settings) -> int:
    """Runs a role; what goes wrong is one line on stderr.

    Returns:
        0 when the run is done, 128 + N after signal N, `EXIT_RESTART` where
        the whole group (or this shard) is to be started again, and
        `EXIT_USER_ERROR` where that would not help.
    """
    stop = stop_signal.StopSignal()
    role = settings.role
    _ensure_threads()
    memory.keep_freed_memory()
    try:
        cluster.check_bindable(role, settings.cluster.address(role))
        if role.is_store:
            message = _run_store(settings, stop)
        else:
            message = _run_worker(settings, stop)
    except (pusher.RestartError, tf.errors.OpError) as error:
        _print(role, f"{_reason(error)} Restarting the group.")
        return EXIT_RESTART
    except (store_client.StoreError, ValueError, OSError) as error:
        if stop.number is None:
            _print(role, str(error))
            return EXIT_USER_ERROR
        message = ""
    except loop.NonFiniteLossError as error:
        message = str(error)
    if message:
        _print(role, f"The run has ended: {message}")
        return EXIT_USER_ERROR
    return 0 if stop.number is None else 128 + stop.number


def exit_now(code: int) -> None:
    """Ends the process without waiting for threads of TensorFlow's servers."""
    logging.flush()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _ensure_threads() -> None:
    """Gives TensorFlow more threads than a small machine has cores.

    A thread that waits for a peer, or for the store's lock, is a thread
    less; seen with one thread: a group of two workers waits for ever.
    """
    cores = os.cpu_count() or 1
    tf.config.threading.set_intra_op_parallelism_threads(max(2, cores))
    tf.config.threading.set_inter_op_parallelism_threads(max(8, cores))


def _run_store(
    settings: settings_lib.Settings, stop: stop_signal.StopSignal
) -> str:
    tf.config.set_visible_devices([], "GPU")
    kind = shard.Shard
    if settings.role.index == 0:
        kind = leading_shard.LeadingShard
    server = kind(settings)
    message = server.serve(stop)
    # It is to end with the process: a collection in one of its own threads
    # would take it down from inside.
    gc.freeze()
    return message


def _run_worker(
    settings: settings_lib.Settings, stop: stop_signal.StopSignal
) -> str:
    reply = report_for_work.report_for_work(settings, stop)
    if reply["status"] == coordinator.END:
        return reply["message"]
    # Before all other use of TensorFlow.
    strategy, options = task_group.connect(settings)
    client = store_client.StoreClient(settings.cluster, settings.secret)
    try:
        worker = task_group.Worker(
            settings, strategy, options, client, reply, stop
        )
        reply = worker.train()
    except loop.NonFiniteLossError as error:
        report_for_work.leave(settings, client, failure=str(error))
        raise
    except (ValueError, OSError):
        report_for_work.leave(settings, client)
        raise
    report_for_work.leave(settings, client)
    return reply["message"]


def _reason(error: Exception) -> str:
    if isinstance(error, tf.errors.OpError):
        # Its message is a page, and says little more.
        kind = type(error).__name__
        return f"A worker of this group is gone or frozen ({kind})."
    return str(error)


def _print(role: cluster.Role, text: str) -> None:
    print(f"mtssl_tf.train --role={role}: {text}", file=sys.stderr)
