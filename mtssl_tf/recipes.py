"""Named sets of settings, over a preset's: `--recipe`.

A preset says how large a run is, a recipe by whose method it trains. Each
task's own file has its part of a recipe; docs/paper.md lists the paper's, and
docs/combining_tasks.md says how the best was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from mtssl_tf import tasks as tasks_lib

OURS = "ours"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a recipe says beside the tasks' own parts of it.

    Attributes:
        settings: as `--set` takes them.
        chooses_tasks: whether it is for no tasks but those that have a part in
            it, which are trained where none is named.
    """

    settings: tuple[str, ...] = ()
    chooses_tasks: bool = False


RECIPES: dict[str, Recipe] = {
    OURS: Recipe(),
    # What is literally the paper's (sec. 2 and 6), where ours differs.
    "paper": Recipe(("motion.method=idt",)),
    # ours: of what was measured at equal cost, RESULTS.md.
    "best": Recipe(chooses_tasks=True),
}


def default_tasks(recipe: str = OURS) -> list[str]:
    """Returns the tasks that are trained where none is named.

    Of recipes that choose none they are the paper's pretext tasks, those that
    need no labels and that its tables have an abbreviation for.

    Raises:
        ValueError: there is no such recipe.
    """
    if _find(recipe).chooses_tasks:
        return list(_parts(recipe))
    return [
        name
        for name, task in tasks_lib.TASKS.items()
        if task.is_pretext and task.abbreviation
    ]


def assignments(recipe: str, tasks: Sequence[str]) -> list[str]:
    """Returns a recipe's assignments for a run of these tasks.

    Raises:
        ValueError: there is no such recipe, or it does not know a task.
    """
    found = _find(recipe)
    parts = _parts(recipe)
    unknown = [name for name in tasks if name not in parts]
    if unknown and found.chooses_tasks:
        raise ValueError(
            f"--recipe={recipe} does not know {', '.join(unknown)}: it is "
            f"for {' and '.join(parts)}. Choose --tasks among these, "
            "or leave the recipe out."
        )
    of_tasks = [
        f"{name}.{option}={value}"
        for name in tasks
        for option, value in parts.get(name, {}).items()
    ]
    return [*found.settings, *of_tasks]


def _parts(recipe: str) -> dict[str, Mapping[str, Any]]:
    """Returns task -> the options that a recipe sets, where it has a part."""
    return {
        name: task.recipes[recipe]
        for name, task in tasks_lib.TASKS.items()
        if recipe in task.recipes
    }


def _find(recipe: str) -> Recipe:
    if recipe not in RECIPES:
        raise ValueError(
            f"There is no recipe {recipe!r}. Known: {', '.join(RECIPES)}."
        )
    return RECIPES[recipe]
