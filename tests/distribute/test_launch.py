"""Flags, cluster files, accounting and the simulator, without TensorFlow."""

import json
import pathlib
import subprocess
import sys

import pytest

from mtssl_tf import config as config_lib
from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import gpu_hours
from mtssl_tf.distribute import launch
from mtssl_tf.distribute import write_cluster
from tools import simulate_store

_REPOSITORY = pathlib.Path(__file__).parents[2]


def run_module(name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", name, *arguments],
        cwd=_REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--cluster=two"], "--cluster=two"),
        (["--cluster=local:0"], "local:0"),
        (["--", "--tasks=exemplar"], "--workdir is missing"),
        (["--", "--workdir=w", "--role=store/0"], "--role behind --"),
        (["--", "--workdir=w", "--no_such_flag"], "no_such_flag"),
    ],
)
def test_a_mistake_is_one_line(arguments, message):
    result = run_module("mtssl_tf.distribute.launch", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_local_cluster_is_on_loopback_with_a_private_secret(tmp_path):
    cluster = launch.build_local_cluster(["a", "b"], 2, 2, tmp_path)
    addresses = [cluster.address(role) for role in cluster.roles()]
    assert len(set(addresses)) == 6
    assert all(each.startswith("127.0.0.1:") for each in addresses)
    secret = pathlib.Path(cluster.secret_file)
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(cluster_lib.load_secret(cluster)) == 64
    before = secret.read_text()
    launch.build_local_cluster(["a"], 1, 1, tmp_path)
    assert secret.read_text() != before


def test_a_group_has_a_tf_config_of_its_own():
    cluster = cluster_lib.Cluster(
        {"a": ["h:1", "h:2"], "b": ["h:3"]}, ["h:4"], "s"
    )
    config = json.loads(cluster.tf_config(cluster_lib.Role("a", 1)))
    assert config["cluster"] == {"worker": ["h:1", "h:2"]}
    assert config["task"] == {"type": "worker", "index": 1}


def test_asynchronous_workers_commit_one_by_one():
    hosts = {"a": ["h:1", "h:2"]}
    together = cluster_lib.Cluster(hosts, ["h:4"], "s")
    apart = cluster_lib.Cluster(hosts, ["h:4"], "s", mode="asynchronous")
    assert together.pushers() == {"a": "a"}
    assert apart.pushers() == {"a/0": "a", "a/1": "a"}


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("exemplar.batch_size=31", "exemplar.batch_size=31"),
        ("train.freeze_trunk=true", "freeze_trunk"),
    ],
)
def test_settings_that_a_cluster_cannot_run_are_refused(assignment, message):
    cluster = cluster_lib.Cluster({"exemplar": ["h:1", "h:2"]}, ["h:4"], "s")
    config = config_lib.preset_config("tiny", ["exemplar"])
    cluster_lib.check_fits(cluster, config)
    config = config_lib.override(config, assignment)
    with pytest.raises(ValueError, match=message):
        cluster_lib.check_fits(cluster, config)
    other = config_lib.preset_config("tiny", ["colorization"])
    with pytest.raises(ValueError, match="colorization.*exemplar"):
        cluster_lib.check_fits(cluster, other)


def test_chunks_cover_a_task_once_and_never_move():
    layout = chunks.ChunkLayout({"trunk": 250, "a": 120, "b": 7}, 3, 100)
    covered = [0] * (250 + 120)
    for chunk, place in layout.of_task("a"):
        assert place.stop - place.start == chunk.stop - chunk.start
        for i in range(place.start, place.stop):
            covered[i] += 1
    assert covered == [1] * 370
    shared = {c.name for c, _ in layout.of_task("a")} & {
        c.name for c, _ in layout.of_task("b")
    }
    assert shared == {"trunk/0", "trunk/1", "trunk/2"}
    names = [c.name for shard in range(3) for c in layout.on_shard(shard)]
    assert sorted(names) == sorted(c.name for c in layout.chunks)


def test_hosts_of_a_scheduler_become_roles_in_order():
    cluster = write_cluster.build_cluster(
        ["n1", "n1", "n2", "n2", "n3"], ["a", "b"], 2, 1, 7000, "s"
    )
    assert [cluster.address(role) for role in cluster.roles()] == [
        "n1:7000",
        "n1:7001",
        "n2:7000",
        "n2:7001",
        "n3:7000",
    ]
    with pytest.raises(ValueError, match="5 roles; there are 4 hosts"):
        write_cluster.build_cluster(["n"] * 4, ["a", "b"], 2, 1, 7000, "s")


def test_gpu_hours_are_steps_times_seconds_times_gpus(tmp_path):
    prices = gpu_hours.GpuHours({"a": 1.8, "b": 3.6}, {"a": 4, "b": 2})
    # 1000 steps x 1.8 s x 4 GPUs = 2 hours; 500 x 3.6 x 2 = 1 hour.
    steps = {"a": 1000, "b": 500}
    assert prices.of(steps) == pytest.approx(3.0)
    before = {"a": 999, "b": 500}
    assert prices.crosses(before, {"a": 1001, "b": 500}, 1.5)
    assert not prices.crosses(before, {"a": 1001, "b": 500}, 2.0)
    with pytest.raises(ValueError, match="a, b.*--calibrate"):
        gpu_hours.load_seconds(tmp_path, steps)
    gpu_hours.save_seconds(tmp_path, {"a": 0.5, "b": 2.0})
    assert gpu_hours.load_seconds(tmp_path, steps) == {"a": 0.5, "b": 2.0}


def build_store(**changes):
    settings = {
        "num_floats": 1000,
        "num_shards": 1,
        "link": 1e9,
        "push_rate": 1e9,
        "pull_rate": 1e9,
        "apply_rate": 1e9,
        **changes,
    }
    return simulate_store.Store(**settings)


def test_a_group_alone_takes_the_sum_of_its_phases():
    # 4000 bytes at 4000 bytes/s each way, 1000 floats at 1000 floats/s.
    store = build_store(link=4000.0, apply_rate=1000.0)
    rates = simulate_store.simulate(
        [simulate_store.Group("a", 2.0, 1)], store, 500.0
    )
    assert rates["a"] == pytest.approx(1 / 5, rel=0.02)


def test_a_slow_group_holds_a_fast_one_only_when_they_are_synchronous():
    groups = [
        simulate_store.Group("a", 1.0, 1),
        simulate_store.Group("b", 5.0, 1),
    ]
    free = simulate_store.simulate(groups, build_store(), 1000.0)
    assert free["a"] == pytest.approx(1.0, rel=0.01)
    assert free["b"] == pytest.approx(0.2, rel=0.02)
    bound = simulate_store.simulate(groups, build_store(), 1000.0, True)
    assert bound["a"] == pytest.approx(0.2, rel=0.02)


def test_the_manifests_name_roles_and_files_that_exist():
    yaml = pytest.importorskip("yaml")
    folder = _REPOSITORY / "docs" / "distributed"
    documents = {
        each["kind"]: each
        for each in yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
    }
    stored = json.loads(documents["ConfigMap"]["data"]["cluster.json"])
    cluster = cluster_lib.from_dict(stored)
    jobs = documents["JobSet"]["spec"]["replicatedJobs"]
    roles, addresses = set(), set()
    for job in jobs:
        spec = job["template"]["spec"]
        container = spec["template"]["spec"]["containers"][0]
        (variable,) = container["env"]
        for index in range(spec["completions"]):
            roles.add(f"{variable['value']}/{index}")
            addresses.add(f"mtssl-{job['name']}-0-{index}.mtssl:7000")
    assert roles == {str(role) for role in cluster.roles()}
    assert addresses == {cluster.address(role) for role in cluster.roles()}
    subprocess.run(["bash", "-n", str(folder / "slurm.sh")], check=True)
