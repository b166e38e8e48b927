"""Every registered task at a size for tests, with examples to feed it."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from mtssl_tf import config as config_lib
from mtssl_tf import run as run_lib
from mtssl_tf import train_step
from mtssl_tf.data import order
from mtssl_tf.tasks import TASKS
from mtssl_tf.trunk import TrunkConfig

SMALL_TRUNK = TrunkConfig(
    depth=50, num_units=(1, 1, 2), width=0.125, bn_decay=0.9
)


def small_config(name: str, **train) -> config_lib.RunConfig:
    """The tiny preset of one task on a smaller trunk and batch."""
    config = config_lib.preset_config("tiny", [name])
    overrides = ["trunk.num_units=(1,1,2)", "trunk.width=0.125",
                 f"{name}.batch_size=8"]  # fmt: skip
    overrides += [f"train.{key}={value}" for key, value in train.items()]
    for assignment in overrides:
        config = config_lib.override(config, assignment)
    return config


def examples(number: int) -> list[dict[str, tf.Tensor]]:
    """Pictures with something in them, and masks that follow from them."""
    random = np.random.default_rng(0)
    made = []
    for index in range(number):
        y, x = np.mgrid[:120, :150]
        center = random.uniform(40, 80, 2)
        disc = np.hypot(y - center[0], x - center[1]) < 30
        image = np.stack([y * 2, x, 255 - x], -1) * random.uniform(0.3, 1, 3)
        image[disc] = random.uniform(0, 255, 3)
        moving = np.where(disc, 255, 0)[..., None]
        made.append(
            {
                "image": tf.constant(image.astype(np.uint8)),
                "moving": tf.constant(moving.astype(np.uint8)),
                "class": tf.constant(index % 2),
                "class_names": tf.constant(["one", "two"]),
            }
        )
    return made


def build_state(
    config: config_lib.RunConfig,
) -> train_step.TaskState:
    """The state of the configuration's only task, with fitted facts."""
    ((name, options),) = config.tasks.items()
    task = TASKS[name](options)
    task.use_facts(task.fit(examples(6)))
    tf.keras.utils.set_random_seed(0)
    _, states = run_lib.build_states(config, {name: task})
    return states[name]


def batch(task, number: int | None = None) -> dict[str, tf.Tensor]:
    """One batch of the task's own preprocessing."""
    number = number or task.config.batch_size
    parts = [
        task.preprocess(example, order.example_seed(position, 0))
        for position, example in enumerate(examples(number))
    ]
    return tf.nest.map_structure(lambda *leaves: tf.stack(leaves), *parts)
