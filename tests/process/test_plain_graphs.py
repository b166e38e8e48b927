"""Datasets are traced as written, and say what that does not allow."""

import ast
import pathlib

import pytest
import tensorflow as tf

from mtssl_tf.process import plain_graphs

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _larger(x, y):
    """Returns the larger of two, by a branch over tensors."""
    if x > y:
        return x
    return y


def _dataset(function):
    """Datasets in a dataset, as pictures are read."""

    def pairs(first):
        seconds = tf.data.Dataset.range(2)
        return seconds.map(lambda second: (first, second)).map(function)

    return tf.data.Dataset.range(3).interleave(pairs)


def test_a_branch_over_tensors_is_an_error():
    expected = [0, 1, 1, 1, 2, 2]
    assert sorted(_dataset(_larger).as_numpy_iterator()) == expected
    build = plain_graphs.traces_as_written(_dataset)
    assert sorted(build(tf.maximum).as_numpy_iterator()) == expected
    with pytest.raises(TypeError, match="as a Python `bool`"):
        build(_larger)
    # Who needs one says so.
    assert sorted(build(tf.function(_larger)).as_numpy_iterator()) == expected


def _functions(tree):
    """Yields the line and keywords of each use of `tf.function`."""
    calls = {
        id(node.func): {keyword.arg for keyword in node.keywords}
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and ast.unparse(node) == "tf.function"
        ):
            yield node.lineno, calls.get(id(node), set())


def test_every_function_says_whether_its_source_is_rewritten():
    # A kind of fault: seconds of rewriting, because nobody had turned it off.
    found = [
        (f"{path.relative_to(_ROOT)}:{line}", keywords)
        for folder in ("mtssl_tf", "evaluation")
        for path in sorted((_ROOT / folder).rglob("*.py"))
        for line, keywords in _functions(ast.parse(path.read_text()))
    ]
    assert len(found) > 15
    assert [place for place, words in found if "autograph" not in words] == []
