"""Compiled functions of which every task, or size, has one of its own."""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

from absl import logging
import tensorflow as tf


def compile_own(method: Callable[..., Any], with_xla: bool = False) -> Any:
    """Compiles an object's method for that object alone.

    TensorFlow takes what has the same code for the same function, and with
    five tasks it warns that one is traced too often. A partial has no code.

    Args:
        method: to compile.
        with_xla: whether XLA compiles it; where it cannot, TensorFlow does.
    """
    if with_xla:
        return _WithXla(method)
    return tf.function(functools.partial(method), autograph=False)


def is_xla_wanted(choice: str, strategy: tf.distribute.Strategy) -> bool:
    """Returns whether XLA is to compile a run's steps.

    Not by the length of the run: what a step costs, which runs are compared
    by, is measured in a short one.

    Args:
        choice: `train.xla`.
        strategy: over devices.
    """
    if choice != "auto":
        return choice == "always"
    # Of several GPUs' steps the sums over them are a part, which XLA would
    # have to compile for all at once.
    is_one = strategy.num_replicas_in_sync == 1
    return is_one and bool(tf.config.list_logical_devices("GPU"))


class _WithXla:
    """A method that XLA compiles, or TensorFlow alone where XLA cannot.

    It cannot where an operation has no translation, as a task of one's own
    may have, or where a library of CUDA's is missing. Nothing was computed
    then, so the call is made again.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        self._call = tf.function(
            functools.partial(method), autograph=False, jit_compile=True
        )
        self._is_compiled = False

    def __call__(self, *arguments: Any) -> Any:
        if self._is_compiled:
            return self._call(*arguments)
        try:
            result = self._call(*arguments)
        except tf.errors.ResourceExhaustedError:
            raise  # there is an answer to this, and it is another
        except tf.errors.OpError as error:
            logging.warning(
                "XLA cannot compile a step, which is taken without it, and "
                "slower: %s",
                error.message.partition("\n")[0],
            )
            self._call = compile_own(self._method)
            result = self._call(*arguments)
        self._is_compiled = True
        return result
