"""Training over many machines: synchronous inside a task, free between tasks.

The paper's section 4 and Fig. 2. Each task is a group of workers that sum
their gradients with `MultiWorkerMirroredStrategy`. The trunk lives in a store
outside all groups, which keeps one RMSProp per task and applies a group's
gradient as soon as it is whole. `docs/distributed.md` is the manual.

    cluster.py -> chunks.py -> trunk_store.py -> store_server.py -> shard.py
        -> store_client.py -> pusher.py -> joined_state.py -> all_shards.py
        -> coordinator.py -> leading_shard.py, task_group.py -> roles.py
        -> supervisor.py -> launch.py
"""
