"""Arrays that graphs share, where each would hold a copy of its own.

A list of a million paths is 100 MB. What a graph is built with is copied into
it each time that it is traced; a tensor that is there already is not.
"""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Any

from mtssl_tf.lazy_imports import tf


class LargeConstant:
    """A tensor on the host, made when it is first asked for."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """Makes nothing yet; `make` returns what becomes the tensor."""
        self._make = make
        self._tensor: tf.Tensor | None = None
        self._lock = threading.Lock()

    def __call__(self) -> tf.Tensor:
        """Returns the tensor, from within a graph as well."""
        with self._lock:
            if self._tensor is None:
                with tf.init_scope(), tf.device("CPU:0"):
                    self._tensor = tf.constant(self._make())
            return self._tensor
