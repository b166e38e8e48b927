"""Multi-task self-supervised visual learning on Keras 3 and TensorFlow.

    import mtssl_tf

    trunk = mtssl_tf.pretrain("runs/mine", images="photos", videos="clips")
    units = trunk(images, training=False)  # {'unit_01': [B, h, w, C], ...}

The names below are imported at first use: TensorFlow takes many seconds.
"""

from __future__ import annotations

import importlib
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from mtssl_tf.embedding.run import embed
    from mtssl_tf.models.config import TrunkConfig
    from mtssl_tf.models.lasso_mix import LassoMix
    from mtssl_tf.models.trunk import build_trunk
    from mtssl_tf.pretrained import load_trunk
    from mtssl_tf.pretraining import pretrain
    from mtssl_tf.slim.checkpoint import load as load_slim
    from mtssl_tf.slim.checkpoint import save as save_slim
    from mtssl_tf.tasks import TASKS
    from mtssl_tf.tasks.base import Task
    from mtssl_tf.tasks.base import TaskConfig

__all__ = [
    "LassoMix",
    "TASKS",
    "Task",
    "TaskConfig",
    "TrunkConfig",
    "build_trunk",
    "embed",
    "load_slim",
    "load_trunk",
    "pretrain",
    "save_slim",
]

# Where each name is, and under which name.
_HOMES = {
    "LassoMix": ("mtssl_tf.models.lasso_mix", "LassoMix"),
    "TASKS": ("mtssl_tf.tasks", "TASKS"),
    "Task": ("mtssl_tf.tasks.base", "Task"),
    "TaskConfig": ("mtssl_tf.tasks.base", "TaskConfig"),
    "TrunkConfig": ("mtssl_tf.models.config", "TrunkConfig"),
    "build_trunk": ("mtssl_tf.models.trunk", "build_trunk"),
    "embed": ("mtssl_tf.embedding.run", "embed"),
    "load_slim": ("mtssl_tf.slim.checkpoint", "load"),
    "load_trunk": ("mtssl_tf.pretrained", "load_trunk"),
    "pretrain": ("mtssl_tf.pretraining", "pretrain"),
    "save_slim": ("mtssl_tf.slim.checkpoint", "save"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
