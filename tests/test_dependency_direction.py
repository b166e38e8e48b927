"""Imports go one way, as CONTRIBUTING.md says."""

import ast
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_FILES = sorted(
    path
    for folder in ("mtssl_tf", "evaluation", "tools")
    for path in (_ROOT / folder).rglob("*.py")
)
# In the order of the data's way: a stage imports only from those before it.
_STAGES = (
    ("mtssl_tf.data", "mtssl_tf.motion", "mtssl_tf.input_contract"),
    ("mtssl_tf.tasks",),
    ("mtssl_tf.config",),
    ("mtssl_tf.model",),
    ("mtssl_tf.train_step",),
    ("mtssl_tf.checkpoint",),
    ("mtssl_tf.training",),
    ("mtssl_tf.train",),
)


def _module(path: pathlib.Path) -> str:
    parts = path.relative_to(_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: pathlib.Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _stage(module: str) -> int | None:
    for number, packages in enumerate(_STAGES):
        if any(_is_in(module, package) for package in packages):
            return number
    return None


@pytest.mark.parametrize("path", _FILES, ids=_module)
def test_nothing_imports_what_comes_after_it(path):
    module = _module(path)
    forbidden = {
        "mtssl_tf": ("evaluation", "tools"),
        "evaluation": ("tools",),
    }.get(module.split(".")[0], ())
    for imported in _imports(path):
        for package in (*forbidden, "tests"):
            assert not _is_in(imported, package), (module, imported)
        here, there = _stage(module), _stage(imported)
        if here is not None and there is not None:
            assert there <= here, (module, imported)


def test_only_tasks_know_a_tasks_name():
    from mtssl_tf import tasks

    for path in _FILES:
        if "tasks" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                constants = [
                    each.value
                    for each in (node.left, *node.comparators)
                    if isinstance(each, ast.Constant)
                ]
                assert not set(constants) & set(tasks.TASKS), path
