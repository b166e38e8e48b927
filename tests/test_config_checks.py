"""Settings that do not go together are one line, in whatever order."""

import pytest

from mtssl_tf import config as config_lib
from mtssl_tf import config_checks


def _check(names, *assignments):
    config = config_lib.preset_config("tiny", names)
    config_checks.check(config_lib.override(config, *assignments))


@pytest.mark.parametrize(
    "assignments, message",
    [
        (
            ["train.keep_best=rankme", "train.rank_every=0"],
            "--keep_best=rankme needs train.rank_every above 0",
        ),
        (["train.keep_best=probe"], "--keep_best=probe needs --probe=FOLDER"),
        (
            ["train.keep_best=loss", "data.held_out_images=0.0"],
            "--keep_best=loss needs data.held_out_images above 0",
        ),
        (
            ["train.accumulate=3", "exemplar.batch_size=4"],
            "train.accumulate=3 cuts exemplar.batch_size=4 into",
        ),
        (
            ["train.weighting=gradnorm"],
            "--weighting=gradnorm shares steps between tasks, and exemplar is",
        ),
        # There is nothing to compare one example with.
        (["train.accumulate=4", "exemplar.batch_size=4"], "at least 2 of"),
        (["train.track=comet"], "--track=comet is not one of"),
        (
            ["trunk.family=densenet121", "exemplar.output_stride=32"],
            r"exemplar.output_stride=32: trunk.family=densenet121 has \[8",
        ),
        (["trunk.family=vgg16", "train.remat=true"], "--remat needs.*vgg16"),
    ],
)
def test_what_does_not_fit_is_named(assignments, message):
    with pytest.raises(ValueError, match=message):
        _check(["exemplar"], *assignments)


@pytest.mark.parametrize(
    "assignments",
    [
        ["train.keep_best=probe", "train.probe=DIR"],
        ["train.keep_best=loss", "data.held_out_videos=0.0"],
        ["train.accumulate=4", "exemplar.batch_size=8"],
        ["train.accumulate=1"],
    ],
)
def test_what_is_typed_later_counts(assignments):
    _check(["exemplar"], *assignments)


def test_an_unknown_best_is_refused_by_itself():
    with pytest.raises(ValueError, match="keep_best='accuracy'"):
        _check(["exemplar"], "train.keep_best=accuracy")


@pytest.mark.parametrize(
    "assignments, message",
    [
        (["train.freeze_trunk=true"], "train.freeze_trunk=True has none of"),
        (["colorization.batch_size=3"], "colorization has batches of 3"),
        (["exemplar.batch_size=2"], "at least 2 pictures each, and exemplar"),
        (["train.weighting=luck"], "weighting='luck' is not one of"),
        (["train.least_share=1"], "least_share must be > 0 and < 1, got 1"),
    ],
)
def test_shares_by_halves_need_a_trunk_and_halves(assignments, message):
    names = ["colorization", "exemplar"]
    consistency = "train.weighting=gradient_consistency"
    _check(names, consistency)
    with pytest.raises(ValueError, match=message):
        _check(names, consistency, *assignments)
