"""Compiled functions of which every task, or size, has one of its own."""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

import tensorflow as tf


def compile_own(method: Callable[..., Any]) -> Any:
    """Compiles an object's method for that object alone.

    TensorFlow takes what has the same code for the same function, and with
    five tasks it warns that one is traced too often. A partial has no code.
    """
    return tf.function(functools.partial(method), autograph=False)
