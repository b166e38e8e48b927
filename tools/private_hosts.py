"""Hosts on this machine, to measure what the way between hosts costs.

A second raylet beside the first makes Ray send objects by TCP over loopback.
Network namespaces have a network of their own between them; they take root and
a script that makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import os
import pathlib
import secrets
import subprocess
import sys
import time

LOOPBACK = "127.0.0.1"
_TIMEOUT_S = 120.0
_OBJECT_STORE_BYTES = 2 << 30  # ours
_PORT = 6399  # ours: of the head, in a network of its own
_RAY = (sys.executable, "-m", "ray.scripts.scripts")


@dataclasses.dataclass(frozen=True)
class Host:
    """A network namespace.

    Attributes:
        prefix: comes before a command that is to run there.
        ip: its address.
    """

    prefix: tuple[str, ...]
    ip: str


@contextlib.contextmanager
def namespaces(
    script: str, folder: pathlib.Path, number: int = 2
) -> Iterator[list[Host]]:
    """Makes hosts h1, h2, ...

    Args:
        script: knows `start NUMBER`, `on h1 COMMAND...` and `stop`.
        folder: for its files, which it finds by HOSTS_DIR.
        number: of hosts.
    """
    environment = {**os.environ, "HOSTS_DIR": str(folder / "hosts")}
    prefixes = [
        ("env", f"HOSTS_DIR={folder}/hosts", script, "on", name)
        for name in (f"h{place}" for place in range(1, number + 1))
    ]
    try:
        subprocess.run(
            [script, "start", str(number)], check=True, env=environment
        )
        yield [
            Host(each, _output([*each, "hostname", "-I"]).split()[0])
            for each in prefixes
        ]
    finally:
        subprocess.run([script, "stop"], env=environment)


@contextlib.contextmanager
def ray_over(
    hosts: Sequence[Host], num_cpus: int, environment: Mapping[str, str]
) -> Iterator[str]:
    """Starts Ray on hosts, the first of which is the head.

    Yields:
        The cluster's address.
    """
    address = f"{hosts[0].ip}:{_PORT}"
    with contextlib.ExitStack() as stack:
        for host in hosts:
            role = [f"--address={address}"]
            if host is hosts[0]:
                role = ["--head", f"--port={_PORT}"]
                role += ["--include-dashboard=false"]
            stack.enter_context(_raylet(host, role, num_cpus, environment))
            _wait_until(
                lambda: _succeeds(
                    [*host.prefix, *_RAY, "health-check", "--address", address],
                    environment,
                )
            )
        yield address


@contextlib.contextmanager
def second_raylet(num_cpus: int) -> Iterator[None]:
    """Adds a host to the Ray that this process has started."""
    from ray import cluster_utils
    from ray._private import worker

    cluster = cluster_utils.Cluster(shutdown_at_exit=False)
    # One that is made with its head would name itself, in a file of the whole
    # machine, to all who look for a running cluster.
    cluster.head_node = worker.global_worker.node
    node = cluster.add_node(
        wait=False,
        node_ip_address=LOOPBACK,
        num_cpus=num_cpus,
        object_store_memory=_OBJECT_STORE_BYTES,
    )
    try:
        _wait_until(lambda: other_node() is not None)
        yield
    finally:
        node.kill_all_processes(check_alive=False, allow_graceful=True)


def other_node() -> str | None:
    """Returns the id of a host that this process is not on."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    return next((node for node in nodes if node != here), None)


def make_token(folder: pathlib.Path) -> dict[str, str]:
    """Makes a cluster's token; returns Ray's settings for it."""
    token = folder / "token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(32))
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}


def make_certificate(
    folder: pathlib.Path, ips: Sequence[str]
) -> dict[str, str]:
    """Makes a certificate that signs itself; returns Ray's settings for it."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ",".join(["DNS:localhost", *(f"IP:{ip}" for ip in ips)])
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
        + ["-days", "1", "-subj", "/CN=localhost"]
        + ["-addext", f"subjectAltName={names}"]
        + ["-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_KEY": str(key),
        "RAY_TLS_SERVER_CERT": str(certificate),
        "RAY_TLS_CA_CERT": str(certificate),
    }


@contextlib.contextmanager
def _raylet(
    host: Host,
    role: Sequence[str],
    num_cpus: int,
    environment: Mapping[str, str],
) -> Iterator[None]:
    process = subprocess.Popen(
        [*host.prefix, *_RAY, "start", *role, "--block"]
        + [f"--node-ip-address={host.ip}", f"--num-cpus={num_cpus}"],
        env=dict(environment),
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _wait_until(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not is_there():
        if time.monotonic() > deadline:
            raise OSError(
                f"No Ray came up within {_TIMEOUT_S:.0f} s. Try again on a "
                "machine with less other load."
            )
        time.sleep(0.5)


def _succeeds(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    done = subprocess.run(command, env=dict(environment), capture_output=True)
    return done.returncode == 0


def _output(command: Sequence[str]) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True
    ).stdout
