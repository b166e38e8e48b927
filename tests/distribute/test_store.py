"""The store against one process, over TensorFlow's rpc on loopback."""

import json
import pathlib
import socket

import numpy as np
import pytest
import tensorflow as tf

from mtssl_tf.distribute import chunks
from mtssl_tf.distribute import cluster as cluster_lib
from mtssl_tf.distribute import launch
from mtssl_tf.distribute import pusher as pusher_lib
from mtssl_tf.distribute import store_client
from mtssl_tf.distribute import store_server
from mtssl_tf.distribute import trunk_store
from mtssl_tf.training import rmsprop

import keras  # isort: skip

SECRET = b"0123456789abcdef"
SIZE = 1000
CHUNK_SIZE = 128  # Eight chunks, the last one shorter.

# Garbage collection may come in a server's own thread, where taking the
# server down ends the process. Those of a run live as long as it.
_SERVERS = []
RMSPROP = trunk_store.Rmsprop(0.01, 0.9, 0.9, 1e-8)


def serve(store, address):
    def handle(request, data):
        op = request.pop("op")
        if op == "pull":
            return {"status": trunk_store.OK}, store.pull(**request)
        if op == "push":
            return store.push(gradient=data, **request), None
        return getattr(store, op)(**request), None

    _SERVERS.append(store_server.StoreServer(address, SECRET, handle))


class Cluster:
    """Two shards in this process, and pushers of two workers a task."""

    def __init__(self, tasks=("a", "b"), num_shards=2, **settings):
        self.layout = chunks.ChunkLayout(
            {"trunk": SIZE}, num_shards, CHUNK_SIZE
        )
        ports = launch.find_free_ports(num_shards + 4)
        addresses = [f"127.0.0.1:{port}" for port in ports]
        self.cluster = cluster_lib.Cluster(
            {
                task: addresses[num_shards + 2 * i :][:2]
                for i, task in enumerate(tasks)
            },
            addresses[:num_shards],
            "unused",
            store_timeout_s=5,
        )
        self.stores = [
            trunk_store.TrunkStore(
                self.layout,
                shard,
                {task: task for task in tasks},
                {task: RMSPROP for task in tasks},
                **settings,
            )
            for shard in range(num_shards)
        ]
        self.start = np.random.default_rng(0).normal(size=SIZE)
        self.start = self.start.astype(np.float32)
        for chunk in self.layout.chunks:
            values = self.start[chunk.start : chunk.stop]
            store = self.stores[chunk.shard]
            store.load("values", chunk.name, values)
            for task in tasks:
                for slot, value in zip(chunks.SLOTS, (1.0, 0.0)):
                    store.load(
                        f"{task}/{slot}",
                        chunk.name,
                        np.full_like(values, value),
                    )
        for store in self.stores:
            store.open({task: 0 for task in tasks})
        for store, address in zip(self.stores, addresses):
            serve(store, address)
        self.client = store_client.StoreClient(self.cluster, SECRET)

    def pushers(self, task, generation=1):
        return [
            pusher_lib.Pusher(
                self.client, self.layout, task, task, i, 2, generation
            )
            for i in range(2)
        ]

    def trunk(self):
        return np.concatenate(
            [
                self.stores[c.shard].pull(c.name).numpy()
                for c in self.layout.chunks
            ]
        )


def gradients(seed, count):
    rng = np.random.default_rng(seed)
    return [
        tf.constant(rng.normal(size=SIZE).astype(np.float32))
        for _ in range(count)
    ]


def give_up(reply):
    del reply
    return True


def test_two_tasks_in_turn_equal_two_optimizers_on_one_trunk():
    cluster = Cluster()
    expected = keras.Variable(cluster.start)
    optimizers = {
        task: rmsprop.build_rmsprop([expected], 0.01, 0.9, 0.9, 1e-8)
        for task in "ab"
    }
    steps = {"a": 0, "b": 0}
    for task, gradient in zip("aababb", gradients(1, 6)):
        workers = cluster.pushers(task)
        for worker in workers:
            worker.push(steps[task], gradient)
        for worker in workers:
            assert worker.commit(steps[task], gradient, 5, give_up)
        steps[task] += 1
        optimizers[task].apply_gradients([(gradient, expected)])
        pulled = sum(worker.start_pull()() for worker in workers)
        np.testing.assert_allclose(pulled, expected.numpy(), atol=1e-6)
    assert cluster.stores[0].committed == {"a": 3, "b": 3}


def test_replays_change_nothing():
    cluster = Cluster()
    first, second = cluster.pushers("a")
    (gradient,) = gradients(2, 1)
    first.push(0, gradient)
    first.push(0, gradient)
    second.push(0, gradient)
    assert first.commit(0, gradient, 5, give_up)
    after = cluster.trunk()
    assert not np.array_equal(after, cluster.start)
    for worker in (first, second):
        worker.push(0, gradient)
        assert worker.commit(0, gradient, 5, give_up)
    np.testing.assert_array_equal(cluster.trunk(), after)


def test_half_a_gradient_is_never_applied():
    cluster = Cluster()
    first, _ = cluster.pushers("a")
    (gradient,) = gradients(3, 1)
    first.push(0, gradient)
    with pytest.raises(pusher_lib.RestartError, match="step 0"):
        first.commit(0, gradient, 0.1, give_up)
    np.testing.assert_array_equal(cluster.trunk(), cluster.start)


def test_a_group_that_died_between_two_shards_is_committed_on_both():
    cluster = Cluster()
    (gradient,) = gradients(7, 1)
    for worker in cluster.pushers("a"):
        worker.push(0, gradient)
    assert cluster.stores[0].commit("a", 1, 0)["status"] == trunk_store.OK
    assert cluster.stores[1].committed["a"] == 0
    for worker in cluster.pushers("a", generation=2):
        worker.push(1, gradient)
    assert cluster.stores[1].committed["a"] == 1
    expected = Cluster()
    for worker in expected.pushers("a"):
        worker.push(0, gradient)
    assert expected.pushers("a")[0].commit(0, gradient, 5, give_up)
    np.testing.assert_array_equal(cluster.trunk(), expected.trunk())


def test_a_group_of_the_past_and_one_of_the_future_change_nothing():
    cluster = Cluster()
    (gradient,) = gradients(4, 1)
    old, new = cluster.pushers("a", 1)[0], cluster.pushers("a", 2)[0]
    new.push(0, gradient)
    with pytest.raises(pusher_lib.RestartError, match="anew"):
        old.push(0, gradient)
    with pytest.raises(pusher_lib.RestartError, match="steps 0 to 7"):
        new.push(7, gradient)
    np.testing.assert_array_equal(cluster.trunk(), cluster.start)


def test_a_synchronous_store_applies_all_tasks_together():
    cluster = Cluster(num_shards=1, is_synchronous=True)
    store = cluster.stores[0]
    ga, gb = gradients(5, 2)
    for worker in cluster.pushers("a"):
        worker.push(0, ga)
    assert store.commit("a", 1, 0)["status"] == trunk_store.WAITING
    np.testing.assert_array_equal(cluster.trunk(), cluster.start)
    for worker in cluster.pushers("b"):
        worker.push(0, gb)
    assert store.commit("b", 1, 0)["status"] == trunk_store.OK
    assert store.committed == {"a": 1, "b": 1}
    assert store.commit("a", 1, 0)["status"] == trunk_store.OK


def test_a_stranger_changes_nothing():
    cluster = Cluster()
    stranger = store_client.StoreClient(cluster.cluster, b"fedcba9876543210")
    pusher = pusher_lib.Pusher(stranger, cluster.layout, "a", "a", 0, 1, 1)
    with pytest.raises(store_client.StoreError, match="another run"):
        pusher.push(0, gradients(6, 1)[0])
    assert cluster.stores[0].committed == {"a": 0, "b": 0}
    np.testing.assert_array_equal(cluster.trunk(), cluster.start)


def test_a_malformed_message_is_answered_with_the_reason():
    cluster = Cluster()
    with pytest.raises(store_client.StoreError, match="nobody"):
        cluster.client.call(
            0, {"op": "commit", "pusher": "nobody", "generation": 1, "step": 0}
        )


def test_a_store_that_is_away_is_named():
    cluster = cluster_lib.Cluster(
        {"a": [f"127.0.0.1:{launch.find_free_ports(1)[0]}"]},
        ["127.0.0.1:9"],
        "unused",
        store_timeout_s=0.5,
    )
    client = store_client.StoreClient(cluster, SECRET)
    with pytest.raises(store_client.StoreError, match="127.0.0.1:9"):
        client.call(0, {"op": "status"})


def test_the_server_listens_on_loopback_alone():
    (port,) = launch.find_free_ports(1)
    _SERVERS.append(
        store_server.StoreServer(
            f"127.0.0.1:{port}", SECRET, lambda request, data: ({}, None)
        )
    )
    listening = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in pathlib.Path(f"/proc/net/{name}").read_text().splitlines()
        if f":{port:04X} " in line and line.split()[3] == "0A"
    ]
    assert listening
    for address in listening:
        # 127.0.0.1, plain or as IPv6.
        assert address.split(":")[0].endswith("0100007F")


def write_cluster(folder, **changes):
    stored = {
        "tasks": {"exemplar": ["127.0.0.1:7001", "127.0.0.1:7002"]},
        "store": ["127.0.0.1:7000"],
        "secret_file": str(folder / "secret"),
        **changes,
    }
    path = folder / "cluster.json"
    path.write_text(json.dumps(stored))
    return str(path)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"store": ["0.0.0.0:7000"]}, "0.0.0.0:7000"),
        ({"store": ["127.0.0.1:7001"]}, "127.0.0.1:7001"),
        ({"store": ["localhost"]}, "'localhost'"),
        ({"mode": "hybird"}, "'hybird'"),
        ({"peers": 3}, "'peers'"),
        ({"peer_timeout_s": 0}, "peer_timeout_s"),
    ],
)
def test_a_wrong_cluster_file_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        cluster_lib.load_cluster(write_cluster(tmp_path, **changes))


def test_a_wrong_role_is_refused_with_the_known_ones(tmp_path):
    cluster = cluster_lib.load_cluster(write_cluster(tmp_path))
    assert cluster_lib.parse_role("exemplar/1", cluster).index == 1
    with pytest.raises(ValueError, match="exemplar/2.*exemplar/1"):
        cluster_lib.parse_role("exemplar/2", cluster)


def test_a_role_that_runs_already_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        role = cluster_lib.Role("exemplar", 0)
        with pytest.raises(ValueError, match=f"exemplar/0.*{port}"):
            cluster_lib.check_bindable(role, f"127.0.0.1:{port}")


def test_an_address_of_another_machine_is_refused():
    role = cluster_lib.Role("exemplar", 0)
    with pytest.raises(ValueError, match="192.0.2.1"):
        cluster_lib.check_bindable(role, "192.0.2.1:7000")


def test_a_short_secret_is_refused(tmp_path):
    cluster = cluster_lib.load_cluster(write_cluster(tmp_path))
    with pytest.raises(ValueError, match="openssl"):
        cluster_lib.load_secret(cluster)
    (tmp_path / "secret").write_text("short")
    with pytest.raises(ValueError, match="5 bytes"):
        cluster_lib.load_secret(cluster)
