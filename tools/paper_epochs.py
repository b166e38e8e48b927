"""What an epoch of ImageNet costs here, beside what the paper says.

    python -m tools.paper_epochs

Here it is counted: the convolutions of the `paper` preset's trunk, forward and
backward, for each picture once. The paper's hours are in `paper_costs.json`.
Whatever a K40 and a network of 64 of them really reached falls on all tasks
alike, so that the task which took the least over what is counted here is taken
for one example a picture, and the others' factor for theirs.
"""

# ruff: noqa: E402
from __future__ import annotations

from mtssl_tf.process import end_signals

if __name__ == "__main__":
    end_signals.take()  # before the imports below, which take a while

from collections.abc import Mapping, Sequence
import dataclasses
import json
import pathlib
import sys

from absl import flags

from mtssl_tf import config as config_lib
from mtssl_tf.process import command

NAME = "tools.paper_epochs"
_COSTS = pathlib.Path(__file__).with_name("paper_costs.json")


@dataclasses.dataclass(frozen=True)
class Epoch:
    """One task's.

    Attributes:
        gflop: of a picture, here.
        hours: of a K40, here.
        paper_hours: as the paper says.
        examples: a picture that would explain the difference.
    """

    gflop: float
    hours: float
    paper_hours: float
    examples: float


def compare(
    flops: Mapping[str, float],
    paper_hours: Mapping[str, float],
    num_pictures: int,
    flops_per_s: float,
) -> dict[str, Epoch]:
    """Returns each task's epoch.

    Args:
        flops: task -> of one example, forward and backward.
        paper_hours: task -> GPU hours of an epoch.
        num_pictures: of an epoch.
        flops_per_s: of a GPU.
    """
    hours = {
        name: flops[name] * num_pictures / flops_per_s / 3600
        for name in paper_hours
    }
    least = min(paper_hours[name] / hours[name] for name in hours)
    return {
        name: Epoch(
            flops[name] / 1e9,
            hours[name],
            paper_hours[name],
            paper_hours[name] / hours[name] / least,
        )
        for name in hours
    }


def count_flops(names: list[str]) -> dict[str, float]:
    """Returns the FLOPs of one example of each task at the paper's scale."""
    from mtssl_tf.training import dry_run
    from mtssl_tf.training import run

    config = config_lib.preset_config("paper", names)
    tasks = config.build_tasks()
    trunk, states = run.build_states(config, tasks)
    return {
        name: dry_run.task_cost(state, trunk, config.train).flops
        / state.task.config.batch_size
        for name, state in states.items()
    }


def main(argv: Sequence[str]) -> int:
    """Runs the command and returns its exit code."""
    return command.run(NAME, __doc__, flags.FlagValues(), argv, _work)


def _work(values: flags.FlagValues) -> None:
    """Prints the table of docs/cost.md."""
    del values  # it has no flags of its own
    from mtssl_tf.training import dry_run

    costs = json.loads(_COSTS.read_text())
    paper_hours = costs["k40_hours_per_epoch"]
    epochs = compare(
        count_flops(list(paper_hours)),
        paper_hours,
        costs["pictures_per_epoch"],
        dry_run.K40_FLOPS,
    )
    print("| task | GFLOP a picture | hours | in the paper | patches |")
    print("|---|---:|---:|---:|---:|")
    for name, epoch in epochs.items():
        print(
            f"| {name.replace('_', ' ')} | {epoch.gflop:.1f} | "
            f"{epoch.hours:.1f} | {epoch.paper_hours:g} | "
            f"{epoch.examples:.1f} |"
        )


if __name__ == "__main__":
    command.end(main(sys.argv))
