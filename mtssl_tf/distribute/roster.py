"""Who has reported for work, and whether all work on the same run."""

from __future__ import annotations

from collections.abc import Mapping
import time
from typing import Any

from mtssl_tf import config as config_lib
from mtssl_tf import version
from mtssl_tf.distribute import cluster as cluster_lib

Reply = dict[str, Any]

REFUSED = "refused"
GATHERING = "gathering"
GO = "go"
# A process that asks no more for its group has given up.
_ASKS_EVERY_S = 5.0


class Roster:
    """Brings each group's workers together before they connect.

    MultiWorkerMirroredStrategy waits without a word for a worker that never
    starts. Here all of a group report first, and each is told who is missing.
    """

    def __init__(
        self, cluster: cluster_lib.Cluster, config: config_lib.RunConfig
    ) -> None:
        self._cluster = cluster
        self._config = config
        # Task -> index of its worker -> process, last time that it asked.
        self._present: dict[str, dict[int, tuple[str, float]]] = {}
        self._groups: dict[str, tuple[int, set[str]]] = {}
        self._at_work: set[str] = set()
        self._left: set[str] = set()
        # Process -> how often another has come in its place.
        self._num_replaced: dict[str, int] = {}

    def hello(self, request: Mapping[str, Any]) -> Reply:
        """Answers a process that asks whether its group is complete.

        Args:
            request: `role`, `process` (any unique text), `version`, `config`
                (as `config.json` has it) and `cluster`.
        """
        problem = self._find_difference(request)
        if problem:
            return {"status": REFUSED, "message": problem}
        role = cluster_lib.parse_role(request["role"], self._cluster)
        process = request["process"]
        self._left.discard(str(role))
        generation, members = self._groups.get(role.name, (0, set()))
        if process in members:
            return {"status": GO, "generation": generation}
        now = time.monotonic()
        present = self._present.setdefault(role.name, {})
        known = present.get(role.index, (process, now))[0]
        if self._num_replaced.get(process, 0) > 1:
            # Both go on asking. Once may be the last word of one that died.
            return {
                "status": REFUSED,
                "message": f"{role} is started twice: as {known} and as "
                f"{process}. Start each role once.",
            }
        if known != process:
            count = self._num_replaced.get(known, 0)
            self._num_replaced[known] = count + 1
        present[role.index] = (process, now)
        missing = [
            f"{role.name}/{index}"
            for index in range(self._group_size(role))
            if now - present.get(index, ("", -1e9))[1] > _ASKS_EVERY_S
        ]
        if missing:
            return {"status": GATHERING, "missing": missing}
        # Later processes of a group make those before them void, also those
        # that a store which has restarted since does not remember.
        generation = max(time.time_ns() // 1000, generation + 1)
        self._groups[role.name] = (
            generation,
            {process for process, _ in present.values()},
        )
        self._at_work.add(role.name)
        self._present[role.name] = {}
        return {"status": GO, "generation": generation}

    def note_at_work(self, task: str) -> None:
        """Notes that a group commits: it may know a store before this one."""
        self._at_work.add(task)

    def leave(self, role: str) -> None:
        """Notes that a process has ended, or is about to."""
        self._left.add(role)
        task, index = role.split("/")
        self._present.get(task, {}).pop(int(index), None)

    def has_left(self, task: str) -> bool:
        """Whether a worker of this task has ended, so that its group must."""
        return any(role.split("/")[0] == task for role in self._left)

    def all_left(self) -> bool:
        """Whether every worker of the cluster has heard that it may end."""
        return self._left >= {
            str(role) for role in self._cluster.roles() if not role.is_store
        }

    def all_at_work_left(self) -> bool:
        """The same of the groups that have begun."""
        return self._left >= {
            str(role)
            for role in self._cluster.roles()
            if role.name in self._at_work
        }

    def _group_size(self, role: cluster_lib.Role) -> int:
        return len(self._cluster.tasks[role.name])

    def _find_difference(self, request: Mapping[str, Any]) -> str:
        role = request["role"]
        if request["version"] != version.VERSION:
            return (
                f"{role} runs mtssl_tf {request['version']}, the store "
                f"{version.VERSION}. Install one version everywhere."
            )
        differences = config_lib.differences(
            self._config, config_lib.from_json(request["config"])
        )
        if differences:
            return (
                f"{role} has other settings than the store ("
                f"{'; '.join(differences)}). Give all roles the same flags."
            )
        theirs = cluster_lib.from_dict(request["cluster"])
        if theirs != self._cluster:
            return (
                f"{role} has another cluster file than the store: {theirs}, "
                f"not {self._cluster}."
            )
        return ""
