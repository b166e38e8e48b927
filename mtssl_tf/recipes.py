"""Named sets of settings, over a preset's: `--recipe`.

A preset says how large a run is, a recipe by whose method it trains. Each
task's own file has its part of a recipe; docs/paper.md lists all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtssl_tf import tasks as tasks_lib

OURS = "ours"
# Recipe -> what it sets beside the tasks' options, as `--set` takes it.
RECIPES: dict[str, tuple[str, ...]] = {
    OURS: (),
    # What is literally the paper's (sec. 2 and 6), where ours differs.
    "paper": ("motion.method=idt",),
}


def assignments(recipe: str, tasks: Sequence[str]) -> list[str]:
    """Returns a recipe's assignments for a run of these tasks.

    Raises:
        ValueError: there is no such recipe.
    """
    if recipe not in RECIPES:
        raise ValueError(
            f"There is no recipe {recipe!r}. Known: {', '.join(RECIPES)}."
        )
    of_tasks = [
        f"{name}.{option}={value}"
        for name in tasks
        for option, value in tasks_lib.find_task(name)
        .recipes.get(recipe, {})
        .items()
    ]
    return [*RECIPES[recipe], *of_tasks]
