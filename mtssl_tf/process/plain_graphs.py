"""Datasets whose functions are traced as they are written.

TensorFlow rewrites the source of every function that it traces, for Python's
`if` and `for` over tensors to become part of the graph (AutoGraph). Ours have
none, and the rewriting took a third of the time between the imports and a
run's first step. `tf.function` has an argument that turns it off; for what a
dataset is made with there is only this.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import ParamSpec, TypeVar

from mtssl_tf.lazy_imports import tf

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def traces_as_written(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Keeps TensorFlow from rewriting what datasets of a function call.

    There a branch over tensors is `tf.cond` or `tf.where`; Python's is an
    error, but for functions under a `tf.function` of their own.
    """

    @functools.wraps(function)
    def wrapper(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        plain = tf.autograph.experimental.do_not_convert(function)
        return plain(*args, **kwargs)

    return wrapper
