"""TensorFlow and Keras, imported at first use.

Importing TensorFlow takes many seconds. Configuration lives beside the code
it configures, and `--help` or a mistyped flag must answer at once, so modules
that hold configuration take `tf` and `keras` from here.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, TYPE_CHECKING


class _LazyModule(ModuleType):
    """Stands for a module until its first attribute is asked for.

    It stays out of `sys.modules`: while TensorFlow loads it looks for Keras
    there, and a stand-in would load Keras half, on a TensorFlow half loaded.
    """

    def __getattr__(self, attribute: str) -> Any:
        module = importlib.import_module(self.__name__)
        value = getattr(module, attribute)
        self.__dict__[attribute] = value
        return value


if TYPE_CHECKING:
    import keras
    import tensorflow as tf
else:
    keras = _LazyModule("keras")
    tf = _LazyModule("tensorflow")
