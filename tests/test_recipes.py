"""Named sets of settings: what a recipe changes, and what goes before it."""

import pytest

from mtssl_tf import config as config_lib
from mtssl_tf import recipes
from mtssl_tf import run_settings
from mtssl_tf import tasks


def _config(names, recipe, *assignments, images="pictures", videos="clips"):
    return run_settings.build_config(
        names,
        "tiny",
        recipe=recipe,
        images=images,
        videos=videos,
        assignments=assignments,
    )


def test_ours_is_the_preset():
    names = list(tasks.TASKS)
    assert _config(names, "ours").tasks == (
        config_lib.preset_config("tiny", names).tasks
    )


def test_papers_is_what_its_table_says():
    """Every switch of docs/paper.md that `--recipe=paper` turns."""
    config = _config(list(tasks.TASKS), "paper")
    assert config.tasks["exemplar"].negatives == "random"
    assert config.tasks["exemplar"].color_strength == 1.0
    assert config.tasks["motion_segmentation"].hard_labels
    assert config.tasks["motion_segmentation"].color_strength == 0.0
    assert config.tasks["image_labels"].decay_epochs == 2.0
    assert config.motion.method == "idt"


@pytest.mark.parametrize("name", tasks.TASKS)
def test_a_recipe_that_chooses_none_serves_any_tasks(name):
    config = _config([name], "paper")
    assert list(config.tasks) == [name]


def test_the_users_own_settings_go_before_a_recipe():
    config = _config(["exemplar"], "paper", "exemplar.negatives=active")
    assert config.tasks["exemplar"].negatives == "active"


def test_best_is_what_measured_best():
    """The row of docs/combining_tasks.md with the highest mean."""
    weights = {
        name: task.weight for name, task in _config(None, "best").tasks.items()
    }
    assert weights == {"exemplar": 3, "motion_segmentation": 1}
    assert list(_config(None, "best", videos="").tasks) == ["exemplar"]
    assert list(_config(None, "best", images="").tasks) == [
        "motion_segmentation"
    ]


@pytest.mark.parametrize(
    "name", sorted(set(tasks.TASKS) - set(recipes.default_tasks("best")))
)
def test_a_choice_between_tasks_knows_no_others(name):
    with pytest.raises(ValueError, match=rf"recipe=best does not know {name}"):
        _config(["exemplar", name], "best")


def test_an_unknown_recipe_is_named():
    with pytest.raises(ValueError, match="no recipe 'papers'. Known: ours"):
        recipes.assignments("papers", ["exemplar"])
