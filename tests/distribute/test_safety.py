"""Who is let into a run over several hosts, and what can be heard of it.

Fault of kind: a door that is said to be shut, and that nobody tried.
"""

import contextlib
import json
import re
import socket
import subprocess
import sys

import hosts as hosts_lib
import pytest

from mtssl_tf.distribute import start_ray

_FIXTURES = hosts_lib.REPOSITORY / "tests" / "fixtures"
_CERTIFICATES = hosts_lib.REPOSITORY / "docs/distributed/certificates.sh"
_HEAD = "10.77.0.1:6379"


def write_token(path, digit):
    path.touch(0o600)
    path.write_text(digit * 64)
    return path


@contextlib.contextmanager
def ray_on(hosts, folder, number_of_hosts, num_cpus, **environment):
    """A Ray over the first hosts, started as the manual says."""
    environment = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(write_token(folder / "token", "7")),
        **environment,
    }
    started = []
    for number in range(1, number_of_hosts + 1):
        role = ("--head", "--port=6379", "--include-dashboard=false")
        if number > 1:
            role = (f"--address={_HEAD}",)
        started.append(
            hosts.start(
                f"h{number}",
                *("ray", "start", "--block", *role, f"--num-cpus={num_cpus}"),
                log=folder / f"ray{number}",
                **environment,
            )
        )
        hosts_lib.wait_for(
            lambda: count_nodes(hosts, environment) == number,
            90,
            f"no Ray on h{number}",
        )
    yield environment
    for each in started:
        each.kill()
        each.wait()


def count_nodes(hosts, environment):
    _, said = hosts.run("h1", "ray", "status", **environment)
    return len(re.findall(r"^ 1 node_", said, re.MULTILINE))


def start_run(hosts, folder, environment, *more):
    return hosts.start(
        "h1",
        *(sys.executable, "-m", "mtssl_tf.train", f"--cluster={_HEAD}"),
        *("--tasks=colorization,exemplar", f"--workdir={folder / 'run'}"),
        *(f"--set=data.cache_dir={folder / 'samples'}", *more),
        log=folder / "output",
        **environment,
    )


def read_steps(folder):
    path = folder / "run" / "status.json"
    return json.loads(path.read_text())["steps"] if path.exists() else {}


def wait_for_steps(folder, more, timeout_s):
    before = read_steps(folder)
    hosts_lib.wait_for(
        lambda: (
            (now := read_steps(folder))
            and all(now[task] >= before.get(task, 0) + more for task in now)
        ),
        timeout_s,
        folder / "output",
    )


def measure_memory(hosts, name):
    """Returns the megabytes of a program on the first host."""
    _, said = hosts.run("h1", "ps", "-C", name, "-o", "rss=")
    return sum(int(each) for each in said.split()) / 1024


@pytest.mark.long
def test_a_stranger_is_refused_and_harms_nobody(tmp_path):
    """Takes about 2 minutes on two cores."""
    with hosts_lib.started(3) as hosts, ray_on(hosts, tmp_path, 2, 3) as ours:
        run = start_run(hosts, tmp_path, ours, "--steps=1000000")
        wait_for_steps(tmp_path, 5, 240)
        _, listening = hosts.run("h1", "ss", "-ltnH")
        ports = {
            int(line.split()[3].rpartition(":")[2])
            for line in listening.splitlines()
        }
        assert 6379 in ports
        servers = ("gcs_server", "raylet")
        before = {name: measure_memory(hosts, name) for name in servers}
        assert all(before.values())
        _, said = hosts.run(
            *("h3", sys.executable, _FIXTURES / "stranger.py", "10.77.0.1"),
            *sorted(ports),
        )
        tried = [
            json.loads(line)
            for line in said.splitlines()
            if line.startswith("[")
        ]
        print(said)
        assert {port for port, *_ in tried} == ports, said
        doors = 0
        for port, answers, statuses, _ in tried:
            assert "OK" not in answers, port
            assert not {200, 201} & set(statuses), port
            doors += "UNAUTHENTICATED" in answers
        # Head, raylet's two, store, coordinator and a worker at least.
        assert doors >= 6, said
        after = {name: measure_memory(hosts, name) for name in servers}
        print(before, after)
        assert all(after[name] < before[name] + 300 for name in servers)
        # As a user would try it.
        wrong = str(write_token(tmp_path / "wrong", "8"))
        for token in (wrong, str(tmp_path / "none")):
            code, said = hosts.run(
                *("h3", sys.executable, "-m", "mtssl_tf.train"),
                *(f"--cluster={_HEAD}", f"--workdir={tmp_path / 'other'}"),
                "--tasks=colorization",
                RAY_AUTH_TOKEN_PATH=token,
            )
            assert code == 2 and "RAY_AUTH_TOKEN_PATH" in said, said
        wait_for_steps(tmp_path, 5, 60)
        (tmp_path / "run" / "stop").touch()
        assert run.wait(90) == 0, (tmp_path / "output").read_text()[-3000:]
        said = (tmp_path / "output").read_text()
        assert "starts again" not in said and "goes on from" not in said


@pytest.mark.long
def test_a_ray_that_lets_everybody_in_is_refused(tmp_path):
    with (
        hosts_lib.started(1) as hosts,
        ray_on(hosts, tmp_path, 1, 3, RAY_AUTH_MODE="disabled") as open_ray,
    ):
        run = start_run(hosts, tmp_path, open_ray, "--steps=8")
        assert run.wait(60) == 2
        assert "asks nobody for a token" in (tmp_path / "output").read_text()
        run = start_run(
            hosts, tmp_path, open_ray, "--steps=8", "--allow_open_cluster"
        )
        assert run.wait(240) == 0, (tmp_path / "output").read_text()[-3000:]
        # Not of an address that is private.
        find = (
            "from mtssl_tf.distribute import start_ray\n"
            "print(start_ray.public_addresses())"
        )
        assert "[]" in hosts.run("h1", sys.executable, "-c", find)[1]
        hosts("on", "h1", "ip", "addr", "add", "11.0.0.1/8", "dev", "eth0")
        hosts(
            *("on", "h1", "ip", "route", "replace", "default"),
            *("dev", "eth0", "src", "11.0.0.1"),
        )
        assert "['11.0.0.1']" in hosts.run("h1", sys.executable, "-c", find)[1]


@pytest.mark.long
def test_a_run_over_two_hosts_is_encrypted(tmp_path):
    """Without certificates nobody gets in, with the token neither."""
    subprocess.run(
        ["bash", _CERTIFICATES, tmp_path / "tls", "10.77.0.1", "10.77.0.2"],
        check=True,
        capture_output=True,
    )
    sourced = dict(
        re.findall(r"(RAY_\w+)=(\S+)", (tmp_path / "tls/tls").read_text())
    )
    assert len(sourced) == 4
    with (
        hosts_lib.started(2) as hosts,
        ray_on(hosts, tmp_path, 2, 2, **sourced) as ours,
    ):
        bare = {k: v for k, v in ours.items() if k not in sourced}
        run = start_run(hosts, tmp_path, bare, "--steps=8")
        assert run.wait(60) == 2
        said = (tmp_path / "output").read_text()
        assert "no Ray answers there" in said and "RAY_USE_TLS" in said
        run = start_run(hosts, tmp_path, ours, "--steps=8")
        assert run.wait(300) == 0, (tmp_path / "output").read_text()[-3000:]
        assert all(read_steps(tmp_path).values())


@pytest.mark.parametrize(
    "own, expected",
    [
        ("93.184.216.34", ["93.184.216.34"]),
        ("2606:2800::1", ["2606:2800::1"]),
        ("10.1.2.3", []),
        ("fd00::1", []),
    ],
)
def test_an_address_that_the_internet_can_reach_is_public(
    monkeypatch, own, expected
):
    class Socket:
        """Has an address of one family alone, as a host may."""

        def __init__(self, family, kind):
            self._is_there = (family == socket.AF_INET6) == (":" in own)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def connect(self, address):
            if not self._is_there:
                raise OSError(101, "Network is unreachable")

        def getsockname(self):
            return (own, 1)

    monkeypatch.setattr(start_ray.socket, "socket", Socket)
    assert start_ray.public_addresses() == expected
