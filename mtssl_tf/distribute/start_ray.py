"""Starts a Ray of our own, or joins one that runs; to be imported before Ray.

A Ray of our own listens on loopback, in a folder of mode 0700, asks for a
token that only this user can read, and ends with the command, however that
ends.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import importlib.util
import ipaddress
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any

from absl import logging

from mtssl_tf.distribute import options as options_lib
from mtssl_tf.files import error_text
from mtssl_tf.process import cores
from mtssl_tf.process import signal_mask

# Unix sockets have 107 bytes: not inside a user's run directory.
_FOLDER = "/tmp"
_SHM_SHARE = 0.3  # Ray's own share of /dev/shm
_MIN_SHM_BYTES = 512 << 20  # ours: trunk, slots and gradients of a small run
_TRIES = 3


@contextlib.contextmanager
def connected(
    address: str,
    num_cpus: int,
    has_dashboard: bool = False,
    allows_open: bool = False,
) -> Iterator[None]:
    """Connects this process to a cluster, or starts one.

    Args:
        address: as `--cluster` has it.
        num_cpus: that the work needs at least, for one of our own.
        has_dashboard: whether one of our own has Ray's dashboard.
        allows_open: whether a Ray that asks nobody for a token is joined.

    Raises:
        ValueError: Ray is not installed, or there is no such cluster, or it
            refuses this user, or asks nobody for a token.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    _check_installed()
    if address == options_lib.LOCAL:
        with _own(num_cpus, has_dashboard):
            yield
        return
    from mtssl_tf.distribute import knock

    address = knock.find_address(address)
    if not knock.asks_for_token(address):
        if not allows_open:
            raise ValueError(
                f"--cluster={address} is a Ray that asks nobody for a token: "
                "who reaches it runs code as you. Start it with "
                "RAY_AUTH_MODE=token, or give --allow_open_cluster inside a "
                "network that you trust."
            )
        os.environ["RAY_AUTH_MODE"] = "disabled"
    _join(address)
    try:
        yield
    finally:
        import ray

        ray.shutdown()


def _check_installed() -> None:
    try:
        if importlib.util.find_spec("ray") is not None:
            return
    except ValueError:
        pass
    raise ValueError(
        "--cluster needs Ray, which is not installed: pip install "
        "'mtssl_tf[cluster]'."
    )


@contextlib.contextmanager
def _own(num_cpus: int, has_dashboard: bool) -> Iterator[None]:
    if has_dashboard and not importlib.util.find_spec("aiohttp_cors"):
        raise ValueError(
            "--dashboard needs more of Ray: pip install 'ray[default]'."
        )
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mtssl-", dir=_FOLDER))
    token = folder / "token"
    descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
    os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    os.environ.pop("RAY_AUTH_TOKEN", None)  # which Ray would take before it
    # Keeps gcs_server and raylet on loopback.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # One host of one user: who is short of memory is this run's own business.
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
    # By default 15: beside any other work of the machine training would get a
    # few hundredths of it.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # By default objects that nobody needs are kept up to a second: a trunk
    # each, and so many more pages to be touched for the first time.
    os.environ.setdefault("RAY_free_objects_batch_size", "1")
    os.environ.pop("RAY_ADDRESS", None)
    guard = _start_guard(folder)
    import ray

    _warn_of_small_shm()
    try:
        _init_with_patience(
            ray,
            address="local",
            num_cpus=max(cores.count(), num_cpus),
            include_dashboard=has_dashboard,
            _temp_dir=str(folder / "ray"),  # which Ray opens to everybody
            _node_ip_address="127.0.0.1",
            log_to_driver=True,
            configure_logging=False,
        )
        yield
    finally:
        ray.shutdown()
        guard.communicate()  # closes its standard input, and waits


def _init_with_patience(ray: Any, **arguments: Any) -> None:
    """Starts Ray; on a loaded machine its first try may be given up."""
    for attempt in range(1, _TRIES + 1):
        try:
            # Who ends a command by a signal to its whole process group, as
            # `timeout`, many schedulers and a closed terminal do, would end
            # Ray before the run has saved.
            with signal_mask.blocked(signal.SIGTERM, signal.SIGHUP):
                ray.init(**arguments)
            return
        except Exception as error:  # Ray has no class of its own for this.
            if attempt == _TRIES:
                raise OSError(
                    f"Ray did not start: {error}. Its logs are in "
                    f"{arguments['_temp_dir']}; a loaded machine may need "
                    "another try."
                ) from error
            logging.warning("Ray did not start (%s). Trying again.", error)
            ray.shutdown()
            time.sleep(attempt)


def _join(address: str) -> None:
    import ray

    _warn_of_public_addresses()
    try:
        ray.init(address=address, configure_logging=False)
    except Exception as error:  # who answers and takes the token is known
        reason = error_text.first_line(error)
        raise ValueError(
            f"--cluster={address}: Ray refused this command: {reason}. It "
            "takes the same version of Ray."
        ) from error


def _start_guard(folder: pathlib.Path) -> subprocess.Popen:
    """Starts a process that ends our Ray once this one is gone.

    Two of Ray's agents outlive a command that is killed. The guard sees its
    standard input close, however that comes about.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


_GUARD = """
import os, pathlib, shutil, signal, sys, time
folder = sys.argv[1]
sys.stdin.buffer.read()
def find():
    for path in pathlib.Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            try:
                command = (path / "cmdline").read_bytes()
                surroundings = (path / "environ").read_bytes()
            except OSError:
                continue
            if folder.encode() in command or folder.encode() in surroundings:
                yield int(path.name)
for kind in (signal.SIGTERM, signal.SIGKILL):
    for number in find():
        try:
            os.kill(number, kind)
        except OSError:
            pass
    time.sleep(1.0)
shutil.rmtree(folder, ignore_errors=True)
"""


def _warn_of_small_shm() -> None:
    """Says it where Ray will use the disk in place of shared memory."""
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:  # there is none
        free = 0
    if free * _SHM_SHARE < _MIN_SHM_BYTES:
        logging.warning(
            "/dev/shm has %d MB free; Ray falls back to the disk where its "
            "share of it is used up, which is slow. In a container give "
            "--shm-size=4g.",
            free >> 20,
        )


def public_addresses() -> list[str]:
    """Returns the addresses that this host reaches the internet from.

    Those of private networks are left out. Nothing is sent.
    """
    found = []
    for family, far in ((socket.AF_INET, "1.1.1.1"), (socket.AF_INET6, "2::")):
        # A kernel may have no IPv6, a host no way out.
        with (
            contextlib.suppress(OSError),
            socket.socket(family, socket.SOCK_DGRAM) as probe,
        ):
            probe.connect((far, 9))
            found.append(str(probe.getsockname()[0]))
    return [each for each in found if ipaddress.ip_address(each).is_global]


def _warn_of_public_addresses() -> None:
    for address in public_addresses():
        logging.warning(
            "This host has the public address %s, and Ray's servers listen at "
            "every address (ss -ltn): who has the token runs code as you, and "
            "without TLS it travels in clear. Close it to the outside.",
            address,
        )
