"""The contract of a pretext task, and the settings that all tasks share."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Mapping
import dataclasses
from typing import Any, ClassVar

import numpy as np

from mtssl_tf import settings
from mtssl_tf.data import color
from mtssl_tf.lazy_imports import keras
from mtssl_tf.lazy_imports import tf
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.tasks import words as words_lib


@dataclasses.dataclass(frozen=True)
class TaskConfig:
    """Settings that every task has; a task's own file adds its options.

    Attributes:
        weight: share of the training steps, relative to the other tasks'.
        batch_size: examples a step, over all replicas.
        learning_rate: of this task's RMSProp.
        output_stride: stride at which this task reads the trunk.
        grey_input: whether the trunk sees lightness copied three times in
            place of the task's own treatment of colour (paper, sec. 3.3).
        patches_per_picture: examples that are cut from each picture (or
            frame) that is read, beside each other in the batch; divides
            `batch_size`. More of them take less reading and decoding.
    """

    weight: float = settings.ranged(1.0, above=0)
    batch_size: int = settings.ranged(32, at_least=1)  # ours
    learning_rate: float = settings.ranged(2e-4, above=0)  # ours
    output_stride: int = 16
    grey_input: bool = False
    patches_per_picture: int = settings.ranged(1, at_least=1)

    def __post_init__(self) -> None:
        if self.weight == 0:
            raise ValueError(
                "weight must be > 0, got 0. To train without a task, leave it "
                "out of --tasks."
            )
        settings.check(self)
        if self.batch_size % self.patches_per_picture:
            raise ValueError(
                f"batch_size={self.batch_size} is no multiple of "
                f"patches_per_picture={self.patches_per_picture}, of which "
                "each picture has so many examples. Change one of them; --set "
                "takes them in order."
            )

    def check_fit(self, cut: str, side: str) -> None:
        """Checks that what is cut out of a picture is no larger than it.

        Args:
            cut: the option that has its side, in pixels.
            side: the option that has the picture's short side.

        Raises:
            ValueError: it is; what is small would be enlarged.
        """
        cut_px, side_px = getattr(self, cut), getattr(self, side)
        if cut_px > side_px:
            raise ValueError(
                f"{cut}={cut_px} is above {side}={side_px}: nothing of that "
                "size can be cut out."
            )

    def check_compares(self) -> None:
        """Checks that a batch has pictures to compare with each other.

        Raises:
            ValueError: it has one alone.
        """
        if self.pictures_per_batch < 2:
            raise ValueError(
                "batch_size must be at least 2 pictures: they are compared "
                f"with each other. Got {self.batch_size} with "
                f"{self.patches_per_picture} a picture."
            )

    @property
    def pictures_per_batch(self) -> int:
        """Pictures (or frames) that a batch is cut from."""
        return self.batch_size // self.patches_per_picture


class Task(abc.ABC):
    """A pretext task: how to make its inputs, its head and its loss.

    A task is plain Python until `build_head` is called: making one imports
    no TensorFlow.

    Attributes:
        name: as in `--tasks`.
        source: 'images' or 'videos'.
        abbreviation: in the paper's tables; '' where it has none, and then
            the task is trained only where `--tasks` names it.
        words: what reports say of it.
        Config: its options, a `TaskConfig`.
        presets: preset name -> its options at that scale.
        recipes: recipe name -> those of its options that the recipe sets.
        is_harmonized: whether `--harmonize` turns on `grey_input`.
        compares_examples: whether the loss of one example depends on the
            others of its batch.
        side_setting: the option that says to which short side, in pixels,
            pictures are scaled before views are cut, at most.
        learns_from_color: whether a grey picture teaches it nothing.
        num_frames: frames of one clip that an example of videos shows.
        is_pretext: whether it needs no labels; one that needs some is trained
            only where `--tasks` names it, too.
    """

    name: ClassVar[str]
    source: ClassVar[str]
    abbreviation: ClassVar[str] = ""
    words: ClassVar[words_lib.TaskWords] = words_lib.TaskWords()
    Config: ClassVar[type[TaskConfig]]
    presets: ClassVar[Mapping[str, TaskConfig]]
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    is_harmonized: ClassVar[bool] = False
    compares_examples: ClassVar[bool] = False
    side_setting: ClassVar[str | None] = None
    learns_from_color: ClassVar[bool] = False
    num_frames: ClassVar[int] = 1
    is_pretext: ClassVar[bool] = True

    def __init__(
        self,
        config: Any,
        contract: input_contract.InputContract | None = None,
    ) -> None:
        """Makes the task.

        Args:
            config: its options, a `Config`.
            contract: the range of pictures that the trunk expects; that of
                the paper's release if absent.
        """
        self.config = config
        self.contract = contract or input_contract.InputContract()
        # A batch is computed in so many: examples of one are compared.
        self.num_parts = 1
        self.trunk = model_config.TrunkConfig()

    def fit(
        self, examples: Iterable[dict[str, tf.Tensor]]
    ) -> dict[str, np.ndarray]:
        """Learns what the task must know of the user's own data beforehand.

        Called once, on training examples, before the head is built. What it
        returns is kept in the run directory and given to `use_facts`, in this
        run and in every resumed one.

        Args:
            examples: finitely many examples as `cut` gets them,
                without augmentation.
        """
        del examples
        return {}

    def preprocessed(
        self, examples: Iterable[dict[str, tf.Tensor]]
    ) -> Iterator[dict[str, tf.Tensor]]:
        """Yields what `preprocess` makes of each example, by one graph.

        For `fit`; seeds are the examples' numbers. In one thread: what a
        small picture takes in a graph is less than what threads of Python
        lose to each other (0.3 s for 125 pictures, 0.7 s with six threads).
        Pictures are decoded ahead on all cores.
        """
        compiled = None
        for number, example in enumerate(examples):
            seed = tf.constant([0, number])
            if compiled is None:
                compiled = tf.function(
                    self.preprocess,
                    autograph=False,
                    input_signature=[
                        tf.nest.map_structure(_of_any_size, example),
                        tf.TensorSpec.from_tensor(seed),
                    ],
                )
            yield compiled(example, seed)

    def learning_rate(self) -> Any:
        """Returns the step size: a float or a Keras schedule of steps."""
        return self.config.learning_rate

    def use_facts(self, facts: Mapping[str, np.ndarray]) -> None:
        """Takes what `fit` returned."""
        del facts

    def use_trunk(self, trunk: model_config.TrunkConfig) -> None:
        """Takes the shape of the trunk that `build_head` is put on."""
        self.trunk = trunk

    @property
    def smallest_side_px(self) -> int | None:
        """The short side that a picture needs at least, by `side_setting`.

        Where a picture is large, a decoder saves time by giving it at a half,
        a quarter or an eighth of its size, never under this. A smaller one is
        enlarged. None asks for pictures as they are.
        """
        if self.side_setting is None:
            return None
        return getattr(self.config, self.side_setting)

    @abc.abstractmethod
    def cut(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Cuts one example's views, as graph code: the work of the host.

        All that moves pixels: crops, sizes, warps. What changes colours only
        is `color`'s, which is done for a whole batch where the trunk is.

        Args:
            example: `image`, uint8 [H, W, 3] RGB; from videos also `moving`,
                uint8 [H, W, 1], 255 where something moves and 0 elsewhere;
                and where `num_frames` is above 1 `frames`, uint8
                [num_frames, H, W, 3], in the order of time, of which `image`
                is the first;
                from images also `class_names`, string [K], `class`, int32 [],
                which is -1 where K is 0, and `num_pictures`, int64 [], of
                those that are trained on.
            seed: int32 [2]; all randomness derives from it.

        Returns:
            `views`, uint8 [V, h, w, 3], and `target`, whatever `color` makes
            the target of.
        """

    def color(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Makes a batch's inputs and targets, as part of the compiled step.

        In `keras.ops` alone; randomness by `data/seeded.py`.

        Args:
            batch: what `cut` gave, each with a leading axis of B examples,
                and `seed`, int32 [B, 2].

        Returns:
            `views`, float32 [B, V, h, w, 3] as `to_trunk_input` makes them,
            and `target`, whatever `loss` needs.
        """
        return {
            "views": self.to_trunk_input(batch["views"]),
            "target": batch["target"],
        }

    def preprocess(
        self, example: dict[str, tf.Tensor], seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Both halves for one example.

        Args:
            example: as `cut` takes it.
            seed: int32 [2].

        Returns:
            `views`, float32 [V, h, w, 3], and `target`.
        """
        batch = {**self.cut(example, seed), "seed": tf.convert_to_tensor(seed)}
        batch = tf.nest.map_structure(lambda leaf: leaf[None], batch)
        return tf.nest.map_structure(lambda leaf: leaf[0], self.color(batch))

    @abc.abstractmethod
    def build_head(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """Builds the layers from trunk features to the prediction.

        The features are a raw residual sum: a head starts with `norm_relu`.

        Args:
            features: float [B * V, h', w', C], the views of one example
                beside each other.
        """

    @abc.abstractmethod
    def loss(self, prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Returns the loss of each example, float32 [B]."""

    @abc.abstractmethod
    def metrics(
        self, prediction: tf.Tensor, target: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns what a person should see beside the loss.

        Returns:
            name -> float32 [B]; NaN where an example has no say.
        """

    @abc.abstractmethod
    def chance(self) -> dict[str, float]:
        """Returns what a blind guess gets: `loss` and metrics by name."""

    def has_collapsed(self, means: Mapping[str, float]) -> bool:
        """Returns whether an embedding is nearly the same for all inputs.

        For tasks whose prediction is an embedding; others have none that
        could collapse.

        Args:
            means: `loss` and metrics, each the mean over some steps.
        """
        del means
        return False

    @abc.abstractmethod
    def draw(
        self, views: np.ndarray, target: np.ndarray, prediction: np.ndarray
    ) -> np.ndarray:
        """Draws what the task sees and predicts, a row an example.

        Args:
            views: float32 [B, V, h, w, 3], the trunk's input.
            target: of `color`.
            prediction: of the head.

        Returns:
            uint8 [B * row height, width, 3] RGB.
        """

    def to_trunk_input(self, rgb: Any) -> Any:
        """Returns pictures in the range that the trunk is trained on.

        Args:
            rgb: uint8 or float32 [..., 3] in [0, 255].

        Returns:
            float32 [..., 3], grey under `grey_input`, means subtracted.
        """
        if self.config.grey_input:
            rgb = color.to_grey(keras.ops.cast(rgb, "float32"))
        return self.contract.apply(rgb)

    def to_displayed(self, views: np.ndarray) -> np.ndarray:
        """Returns trunk inputs as pictures, uint8 of the same shape."""
        rgb = views / self.contract.scale + np.array(self.contract.means_rgb)
        return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def _of_any_size(value: Any) -> tf.TensorSpec:
    """Returns the type of a value; of pictures [..., H, W, C] with any H, W."""
    spec = tf.TensorSpec.from_tensor(tf.convert_to_tensor(value))
    if spec.shape.rank < 3:
        return spec
    *ahead, _, _, channels = spec.shape
    return tf.TensorSpec([*ahead, None, None, channels], spec.dtype)
