"""What a user asks of vectors; plain Python, so that mistakes come at once."""

from __future__ import annotations

import dataclasses

from mtssl_tf import config as config_lib
from mtssl_tf.frozen import view as view_lib

POOLS = ("mean", "max", "grid3")
DEFAULT_PRESET = "paper"  # of weights that do not say
RANDOM_PRESET = "tiny"
MIN_SIZE_PX = 32  # ours
MAX_SIZE_PX = 2048  # ours: a batch of 64 has 3 GB
MAX_SEED = 2**31 - 1  # of NumPy's and TensorFlow's generators


@dataclasses.dataclass(frozen=True)
class Request:
    """Which pictures go through what.

    Attributes:
        trunk: as `pretrained.load_pretrained` takes it.
        images: as `--images` of training.
        unit: 'unit_NN'; "" reads the last one, or a mix.
        lasso: task whose learned mix is read; "" reads a unit.
        pool: 'mean' or 'max' over all positions, or 'grid3': the maximum in
            each of 3 x 3 cells.
        raw: leaves statistics and ReLU out.
        size_px: side of the square that the trunk sees; None is the preset's.
        preset: of that size and the stride; None is the trunk's own.
        seed: of a random trunk.
    """

    trunk: str
    images: str
    unit: str = ""
    lasso: str = ""
    pool: str = "mean"
    raw: bool = False
    size_px: int | None = None
    preset: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.trunk or not self.images:
            raise ValueError("--trunk and --images are required. Try --help.")
        if self.unit and self.lasso:
            raise ValueError(
                f"--unit={self.unit} and --lasso={self.lasso} exclude each "
                "other: a vector is of one unit, or of a mix."
            )
        if self.pool not in POOLS:
            raise ValueError(
                f"--pool={self.pool} is unknown. Known: {', '.join(POOLS)}."
            )
        if self.preset is not None and self.preset not in config_lib.PRESETS:
            raise ValueError(
                f"--preset={self.preset} is unknown. Known: "
                f"{', '.join(config_lib.PRESETS)}."
            )
        size_px = MIN_SIZE_PX if self.size_px is None else self.size_px
        if not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
            raise ValueError(
                f"--size_px={self.size_px} must be from {MIN_SIZE_PX} to "
                f"{MAX_SIZE_PX}."
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise ValueError(
                f"--seed={self.seed} must be from 0 to {MAX_SEED}."
            )

    def view(self, own_preset: str | None) -> view_lib.View:
        """Returns how pictures are seen.

        Args:
            own_preset: of the trunk, where it is known.
        """
        preset = self.preset or own_preset or DEFAULT_PRESET
        view = view_lib.PRESETS[preset]
        if self.size_px is None:
            return view
        share = view.resize_px / view.image_px
        return dataclasses.replace(
            view,
            image_px=self.size_px,
            resize_px=round(self.size_px * share),
        )
