"""The pretext tasks. A new one is a file in this folder and a line here."""

from __future__ import annotations

from mtssl_tf.tasks.base import Task
from mtssl_tf.tasks.colorization import Colorization
from mtssl_tf.tasks.contrastive import Contrastive
from mtssl_tf.tasks.exemplar import Exemplar
from mtssl_tf.tasks.frame_order import FrameOrder
from mtssl_tf.tasks.image_labels import ImageLabels
from mtssl_tf.tasks.inpainting import Inpainting
from mtssl_tf.tasks.jigsaw import Jigsaw
from mtssl_tf.tasks.motion_segmentation import MotionSegmentation
from mtssl_tf.tasks.odd_one_out import OddOneOut
from mtssl_tf.tasks.relative_position import RelativePosition
from mtssl_tf.tasks.rotation import Rotation
from mtssl_tf.tasks.vicreg import VICReg

TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        RelativePosition,
        Colorization,
        Exemplar,
        MotionSegmentation,
        ImageLabels,
        Rotation,
        Contrastive,
        VICReg,
        Jigsaw,
        Inpainting,
        FrameOrder,
        OddOneOut,
    )
}


def find_task(name: str) -> type[Task]:
    """Returns the task class of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in TASKS:
        raise ValueError(
            f"There is no task {name!r}. Known tasks: {', '.join(TASKS)}."
        )
    return TASKS[name]
