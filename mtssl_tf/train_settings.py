"""How long and with what a trunk is trained: the settings of `train.*`.

Plain Python, so that a mistake is answered at once.
"""

from __future__ import annotations

import dataclasses

from mtssl_tf import settings
from mtssl_tf import weighting as weighting_lib

PRECISIONS = ("float32", "bfloat16")
XLA_CHOICES = ("auto", "always", "never")
BESTS = ("", "rankme", "loss", "probe")  # what `keep_best` goes by


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How long and with what the trunk is trained.

    Attributes:
        steps: training steps in all, over all tasks.
        hours: to train for: as many steps as fit, once their pace is known
            (`training/time_budget.py`). 0 has `steps` decide.
        seed: of weights, order and augmentation.
        precision: float32, or bfloat16 for activations (weights and losses
            stay float32).
        use_lasso: whether each task reads its own mix of units.
        from_weights: a run, an export or a TF-Slim checkpoint whose trunk the
            run begins with; "" begins with random weights.
        freeze_trunk: trains the heads alone, the floor to beat.
        remat: whether the inside of block 3's units is computed again for
            the backward pass, instead of kept: less memory, more time.
        accumulate: parts in which a step's batch is computed, one after
            another, for one update: the memory of a part. Batch norm then has
            each part's own statistics, and a task that compares examples with
            each other those of a part. Otherwise it is the whole batch's step.
        xla: whether XLA compiles the steps, on one machine: 'auto' where they
            are taken on one GPU, 'always' or 'never'.
        rms_decay: of RMSProp's mean square.
        momentum: of RMSProp.
        epsilon: of RMSProp, inside the square root.
        weight_decay: L2 penalty of kernels, halved as TF-Slim does; the paper
            names none.
        weighting: who gets which share of the steps, one of
            `weighting.NAMES`: 'fixed' is the tasks' own weights throughout.
        weigh_every: steps of all tasks between new shares, where they are
            not fixed.
        least_share: of a task where shares are not fixed, in parts of the
            share that its weight alone gives it.
        log_every: steps between lines of `metrics.jsonl`.
        save_every: steps between checkpoints.
        costs: a file of seconds per step (`training/cost_table.py`) that the
            run's cost is counted with; "" measures its own first steps.
        snapshot_every: GPU hours between snapshots, which are kept; 0 for
            none.
        draw_every: steps between pictures in TensorBoard.
        judge_every: steps between judgements on what was held out.
        judge_batches: batches a task is judged on.
        rank_every: steps between measurements of the trunk's rank
            (`training/trunk_rank.py`), on one machine; 0 measures none.
        probe: a labelled folder on which the trunk is judged while it trains;
            "" is none.
        probe_every: steps between probes, where `--probe` is given.
        keep_best: by what the best checkpoint is kept (`training/best.py`):
            'rankme', 'loss' or 'probe'; "" keeps none.
        track: tracker that gets the scalars too, 'mlflow' or 'wandb', either
            with ':PROJECT' behind it; "" is none.
        intra_op_threads: threads that share one operation on the CPU; 0 lets
            TensorFlow choose.
        profile: first and last step of the profile, or ().
    """

    steps: int = settings.ranged(2400, at_least=1)
    hours: float = settings.ranged(0.0, at_least=0)
    seed: int = settings.seed()
    precision: str = "float32"
    use_lasso: bool = False
    from_weights: str = ""
    freeze_trunk: bool = False
    remat: bool = False
    accumulate: int = settings.ranged(1, at_least=1)
    xla: str = "auto"
    rms_decay: float = settings.ranged(0.9, at_least=0, below=1)  # ours
    momentum: float = settings.ranged(0.9, at_least=0, below=1)  # ours
    # ours; 1e-3 would make it plain gradient descent
    epsilon: float = settings.ranged(1e-8, above=0)
    weight_decay: float = settings.ranged(0.0, at_least=0)
    weighting: str = weighting_lib.FIXED
    # ours: of four tasks each has had some fifty steps, whose mean says more
    # than chance does.
    weigh_every: int = settings.ranged(200, at_least=1)
    least_share: float = settings.ranged(0.2, above=0, below=1)  # ours
    log_every: int = settings.ranged(40, at_least=1)
    save_every: int = settings.ranged(1000, at_least=1)
    costs: str = ""
    snapshot_every: float = settings.ranged(0.0, at_least=0)
    draw_every: int = settings.ranged(1000, at_least=1)
    judge_every: int = settings.ranged(1000, at_least=1)
    judge_batches: int = settings.ranged(8, at_least=1)
    rank_every: int = settings.ranged(1000, at_least=0)
    probe: str = ""
    probe_every: int = settings.ranged(1000, at_least=1)
    keep_best: str = ""
    track: str = ""
    intra_op_threads: int = settings.ranged(0, at_least=0, at_most=1024)
    profile: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        # A list is what a JSON file gives.
        if isinstance(self.profile, list):
            object.__setattr__(self, "profile", tuple(self.profile))
        settings.check(self)
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"precision={self.precision!r} is not one of {PRECISIONS}."
            )
        if self.xla not in XLA_CHOICES:
            raise ValueError(f"xla={self.xla!r} is not one of {XLA_CHOICES}.")
        if self.weighting not in weighting_lib.NAMES:
            raise ValueError(
                f"weighting={self.weighting!r} is not one of "
                f"{weighting_lib.NAMES}."
            )
        if self.keep_best not in BESTS:
            raise ValueError(
                f"keep_best={self.keep_best!r} is not one of {BESTS}."
            )
        if self.profile and not (
            len(self.profile) == 2 and 0 <= self.profile[0] < self.profile[1]
        ):
            raise ValueError(
                "profile is START:STOP, two steps with START < STOP. Got "
                f"{self.profile}."
            )
