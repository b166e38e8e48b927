"""A worker's first and last words to the store."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import signal
import time
from typing import Any
import uuid

from mtssl_tf import config
from mtssl_tf import version
from mtssl_tf.distribute import roster
from mtssl_tf.distribute import settings as settings_lib
from mtssl_tf.distribute import store_client
from mtssl_tf.process import parent
from mtssl_tf.process import stop_signal

_ASK_EVERY_S = 0.3
_CALL_TIMEOUT_S = 3.0
_LEAVE_TIMEOUT_S = 5.0
_AWAY = "away"

Reply = dict[str, Any]


class RefusedError(ValueError):
    """The store does not take this process into the run."""


def report_for_work(
    settings: settings_lib.Settings, stop: stop_signal.StopSignal
) -> Reply:
    """Waits until the store and the whole group are there.

    MultiWorkerMirroredStrategy would wait for them without a word. It must be
    the first of TensorFlow that a process uses, and calling the store uses
    TensorFlow: so a fork of this process asks.

    Returns:
        The store's welcome, or its word that the run has ended.

    Raises:
        RefusedError: this process does not belong to the run.
        StoreError: the store, or a worker of the group, does not start.
    """
    process = f"{os.uname().nodename}:{os.getpid()}:{uuid.uuid4()}"
    worker = os.getpid()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        parent.die_with_parent(worker)
        reply = {"status": _AWAY, "message": "The question could not be sent."}
        try:
            reply = _ask(settings, process, stop)
        finally:
            os.write(write_end, json.dumps(reply).encode())
            os._exit(0)
    os.close(write_end)
    is_told = False
    while not select.select([read_end], [], [], _ASK_EVERY_S)[0]:
        if stop.is_requested and not is_told:
            is_told = True
            os.kill(pid, signal.SIGTERM)  # Its copy of `stop` notes it.
    with os.fdopen(read_end, "rb") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    if not text:
        raise store_client.StoreError("Stopped before the run was joined.")
    reply = json.loads(text)
    if reply["status"] == roster.REFUSED:
        raise RefusedError(reply["message"])
    if reply["status"] == _AWAY:
        raise store_client.StoreError(reply["message"])
    return reply


def _ask(
    settings: settings_lib.Settings,
    process: str,
    stop: stop_signal.StopSignal,
) -> Reply:
    """Asks until the group is complete, or somebody is missing for good."""
    cluster = settings.cluster
    request = {
        "op": "hello",
        "role": str(settings.role),
        "process": process,
        "version": version.VERSION,
        "config": config.to_json(settings.config),
        "cluster": dataclasses.asdict(cluster),
    }
    client = store_client.StoreClient(cluster, settings.secret)
    deadline = time.monotonic() + cluster.start_timeout_s
    missing: list[str] = []
    while True:
        try:
            reply, _ = client.call(0, request, timeout_s=_CALL_TIMEOUT_S)
        except store_client.AwayError:
            # With whom it missed when it last answered.
            peers = [each for each in missing if each != "store/0"]
            reply = {"status": roster.GATHERING, "missing": ["store/0", *peers]}
        except store_client.StoreError as error:
            return {"status": _AWAY, "message": str(error)}
        if reply["status"] != roster.GATHERING:
            return reply
        missing = reply["missing"]
        message = ""
        if stop.is_requested:
            message = "Stopped before the run was joined."
        elif time.monotonic() > deadline:
            message = (
                f"{', '.join(missing)} did not start within "
                f"{cluster.start_timeout_s:.0f} s, or cannot be reached. "
                "Start every role of the cluster file, with the same flags."
            )
        if message:
            leave(settings, client)
            return {"status": _AWAY, "message": message}
        time.sleep(_ASK_EVERY_S)


def leave(
    settings: settings_lib.Settings,
    client: store_client.StoreClient,
    failure: str = "",
) -> None:
    """Tells the store that this worker ends, and all others with a failure."""
    request = {"op": "leave", "role": str(settings.role), "failure": failure}
    try:
        client.call(0, request, timeout_s=_LEAVE_TIMEOUT_S)
    except store_client.AwayError:
        return  # It has left before us.
