"""The house: what may import what, and who may know whose name."""

import ast
import collections
import graphlib
import pathlib
import re

import pytest

from mtssl_tf import tasks
from mtssl_tf.models import families

_ROOT = pathlib.Path(__file__).resolve().parents[1]

# Floors from the ground up: a room imports only from rooms below it. Rooms are
# the folders of `mtssl_tf/` and its single files; `evaluation/` and `tools/`
# are one each.
_FLOORS = (
    ("lazy_imports", "settings", "version"),
    ("files", "process", "weighting"),
    ("models", "motion", "reports"),
    ("data", "slim"),
    ("frozen", "tasks", "train_settings"),
    ("config", "export_record", "recipes"),
    ("config_checks",),
    ("training",),
    ("checkup", "distribute", "pages", "pretrained", "run_settings"),
    ("embedding", "formats", "old_weights", "slim_checkpoint"),
    ("model_card", "pretraining"),
    ("doctor", "embed", "export", "masks", "report", "train_flags"),
    ("scripts", "train"),
    ("mtssl_tf",),  # the public face: its `__init__.py`
    ("evaluation",),
    ("tools",),
)


def _module(path: pathlib.Path) -> str:
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


_FILES = {
    _module(path): path
    for folder in ("mtssl_tf", "evaluation", "tools")
    for path in sorted((_ROOT / folder).rglob("*.py"))
}


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if parts[0] == "mtssl_tf" and parts[1:] else parts[0]


def _imports(module: str) -> set[str]:
    """Returns the project's modules that one imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(_FILES[module].read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                names.append(whole if whole in _FILES else node.module)
        found |= {name for name in names if name.split(".")[0] in _TOPS}
    return found


_TOPS = ("mtssl_tf", "evaluation", "tools", "tests")
_FLOOR_OF = {
    room: number for number, floor in enumerate(_FLOORS) for room in floor
}


def test_every_room_has_a_floor():
    assert {_room(module) for module in _FILES} == set(_FLOOR_OF)


@pytest.mark.parametrize("module", _FILES)
def test_imports_go_down(module):
    here = _room(module)
    for imported in _imports(module):
        there = _room(imported)
        assert imported in _FILES, (module, imported)
        if there != here:
            assert _FLOOR_OF[there] < _FLOOR_OF[here], (module, imported)


def test_no_circle_between_files():
    # A package's `__init__` that shows what its files hold is no circle.
    graph = {
        module: _imports(module) - {module.rpartition(".")[0]}
        for module in _FILES
    }
    order = graphlib.TopologicalSorter(graph).static_order()
    assert collections.Counter(order).keys() >= _FILES.keys()


def test_modules_are_imported_and_not_names():
    for module, path in _FILES.items():
        if path.name == "__init__.py":
            continue  # where names are shown to others
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            if (node.module or "").split(".")[0] not in _TOPS:
                continue
            if node.module == "mtssl_tf.lazy_imports":
                continue  # what it gives are modules
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                assert whole in _FILES, (module, whole)


def _spellings(task: str) -> re.Pattern[str]:
    """Matches a task's name in any form: words, class, flag, broken line.

    A name that is one word of the language may be part of a longer one
    (`MAX_ROTATION`) and the name of another function's argument.
    """
    words = task.split("_")
    if len(words) > 1:
        return re.compile(r"[\W_]*".join(words), re.IGNORECASE)
    return re.compile(rf"(?<!\w){task}(?![\w=])|{task.title()}(?![a-z_])")


@pytest.mark.parametrize("task", tasks.TASKS)
def test_only_a_tasks_own_file_and_the_registry_speak_its_name(task):
    own = {f"mtssl_tf.tasks.{task}", "mtssl_tf.tasks"}
    pattern = _spellings(task)
    for module, path in _FILES.items():
        if module not in own:
            found = pattern.search(path.read_text())
            assert not found, (module, found)


def test_a_name_of_one_word_is_found_where_it_is_a_task():
    pattern = _spellings("rotation")
    for text in (
        'name == "rotation"',
        "tasks.rotation.Rotation",
        "RotationConfig",
        "--set=rotation.crop_px=64",
        "the rotation task",
    ):
        assert pattern.search(text), text
    for text in ("MAX_ROTATION", "max_rotation_deg", "ticks(rotation=90)"):
        assert not pattern.search(text), text


def test_a_name_is_found_in_every_form():
    pattern = _spellings("relative_position")
    for text in (
        "relative_position",
        "RelativePosition",
        "Relative position",
        "relative-position",
        "relative\n    # position",
    ):
        assert pattern.search(text), text


def _compared_texts(path: pathlib.Path) -> set[str]:
    """Returns the texts that a file compares something with."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        parts = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        for part in parts:
            found |= {
                each.value
                for each in ast.walk(part)
                if isinstance(each, ast.Constant)
                and isinstance(each.value, str)
            }
    return found


@pytest.mark.parametrize("module", _FILES)
def test_no_file_compares_the_name_of_a_family_of_trunks(module):
    assert not _compared_texts(_FILES[module]) & set(families.FAMILIES)


@pytest.mark.parametrize("name", list(families.FAMILIES)[1:])
def test_only_a_familys_own_file_and_the_table_speak_its_name(name):
    # A variant, as one with batch norm, lies in the file of what it varies.
    own = f"mtssl_tf.models.{name.partition('_')[0]}"
    for module, path in _FILES.items():
        if module not in (own, "mtssl_tf.models.families"):
            assert name not in path.read_text(), module
