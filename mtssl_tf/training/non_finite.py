"""A step whose loss or gradient is not a number: what it was of is kept."""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
from typing import Any, NoReturn

import numpy as np

from mtssl_tf.process import atomic_file

BATCH_FILE = "non_finite_batch.npz"


class NonFiniteLossError(ArithmeticError):
    """A loss or gradient is not a number any more."""


def fail(
    task: str,
    when: str,
    loss: float,
    batch: Mapping[str, np.ndarray],
    path: pathlib.Path,
) -> NoReturn:
    """Keeps a batch, and says what came of it.

    Args:
        task: whose step it was.
        when: as 'at step 3'.
        loss: of the batch.
        batch: arrays by name.
        path: of the file that gets them.

    Raises:
        NonFiniteLossError: always; also where the batch cannot be written.
    """
    whole: dict[str, Any] = dict(batch)
    kept = f"The batch is in {path}"
    try:
        with atomic_file.open_new(path) as file:
            np.savez(file, **whole)
    except OSError as error:
        kept = f"The batch cannot be kept ({error})"
    raise NonFiniteLossError(
        f"The loss of {task} {when} is {loss}, or its gradient is not finite. "
        f"{kept}; the last checkpoint is from before it. Run the same command "
        f"again with a lower rate, --set {task}.learning_rate=..., or look at "
        "the batch."
    )
