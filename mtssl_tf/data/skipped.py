"""Names of the examples that could not be used, for the log and for a count."""

from __future__ import annotations

import threading

from absl import logging

from mtssl_tf.files import names


class SkippedExamples:
    """Names of pictures and clips that could not be used, with the reason."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, name: str, reason: str) -> None:
        """Counts `name` once and says so in the log."""
        name = names.shown(name)
        with self._lock:
            is_new = name not in self._reasons
            self._reasons[name] = reason
        if is_new:
            logging.warning("Skipped %s: %s.", name, reason)

    def has(self, name: str) -> bool:
        """Says whether `name` could not be used."""
        with self._lock:
            return names.shown(name) in self._reasons

    def __len__(self) -> int:
        return len(self._reasons)

    def items(self) -> list[tuple[str, str]]:
        """Returns (name, reason) pairs in the order they were met."""
        with self._lock:
            return list(self._reasons.items())
