"""The supervisor of a group: whom it starts again, and when it gives up."""

import functools
from typing import Any

import pytest

pytest.importorskip("ray", reason="needs Ray: pip install 'mtssl_tf[cluster]'")

from ray import exceptions  # noqa: E402

from mtssl_tf.distribute import group  # noqa: E402
from mtssl_tf.distribute import options as options_lib  # noqa: E402


class _Coordinator:
    """Writes down what it is told; `fail.remote(...)` as an actor has it."""

    def __init__(self):
        self.failures = []

    def __getattr__(self, name: str) -> Any:
        call = functools.partial(self._call, name)
        return type("Method", (), {"remote": staticmethod(call)})

    def _call(self, name, *arguments):
        if name == "fail":
            self.failures += arguments


@pytest.fixture
def build(monkeypatch):
    """Returns a function of a generation to a supervisor and whom it tells."""
    monkeypatch.setattr(group, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(group, "_LAST_PAUSE_S", 0.0)
    monkeypatch.setattr(group, "_bundle", lambda: {"CPU": 1.0})
    options = options_lib.ClusterOptions(
        "local", {"exemplar": options_lib.WorkerRange(1, 1)}
    )

    def build_one(run_generation):
        coordinator = _Coordinator()
        made = group.GroupSupervisor(
            "exemplar", 8, options, coordinator, None, None
        )
        monkeypatch.setattr(made, "_ask", lambda call, timeout_s=0: call)
        monkeypatch.setattr(
            made, "_run_generation", functools.partial(run_generation, made)
        )
        return made, coordinator

    return build_one


@pytest.mark.parametrize("progress, most", [(100, 60), (0, 22)])
def test_only_deaths_without_a_step_between_are_counted(build, progress, most):
    # Kind: what dies in another way than the one thought of was counted as
    # having done nothing, and the 21st kill of a week ended the run.
    steps = []

    def die(supervisor):
        steps.append(len(steps) * progress)
        if len(steps) > 60:
            return True
        supervisor._step = steps[-1]
        raise exceptions.ActorDiedError()

    supervisor, coordinator = build(die)
    supervisor.start()
    supervisor._thread.join(30)
    assert not supervisor.is_running()
    assert len(steps) == most + (1 if progress else 0)
    assert bool(coordinator.failures) == (not progress)


def test_a_supervisor_does_not_die_in_silence(build):
    # Kind: a thread that ends by an error nobody waits for.
    def fail(supervisor):
        raise KeyError("a fault of ours")

    supervisor, coordinator = build(fail)
    supervisor.start()
    supervisor._thread.join(30)
    assert not supervisor.is_running()
    (message,) = coordinator.failures
    assert "The supervisor of exemplar has died" in message
