"""The trunk's rank in a run: which pictures, what is written, what it costs."""

import never_stops
import numpy as np
import pytest
import tiny_run

import mtssl_tf
from mtssl_tf import model_card
from mtssl_tf.frozen import rank
from mtssl_tf.reports import metrics_log
from mtssl_tf.training import run as run_lib
from mtssl_tf.training import trunk_rank


def test_a_run_says_its_rank_and_embed_the_same(samples, tmp_path):
    config = tiny_run.config(
        samples, ["exemplar"], "train.steps=3", "train.rank_every=2"
    )
    tiny_run.train(config, tmp_path, never_stops.NeverStops())
    lines = metrics_log.load_metrics(tmp_path)
    second, last = [line for line in lines if line["split"] == rank.EVENT]
    assert (second["step"], last["step"]) == (2, 3)
    figures = last[rank.EVENT]
    assert figures["pictures"] == len(list(samples.images.iterdir()))
    assert 1 <= figures["rankme"] <= figures["most"]
    made = mtssl_tf.embed(tmp_path, samples.images, raw=True)
    for name, value in made.rank.entries().items():
        assert figures[name] == pytest.approx(value, rel=1e-4), name
    board = b"".join(
        path.read_bytes() for path in (tmp_path / "tensorboard").iterdir()
    )
    assert b"rank/rankme" in board and b"rank/mean_cosine" in board
    card = model_card._describe_rank(lines)
    assert "After step 3" in card
    assert f"{figures['rankme']:.3f} of at most {figures['most']}" in card


@pytest.mark.long
def test_clips_alone_are_ranked_by_their_frames(samples, tmp_path, monkeypatch):
    monkeypatch.setattr(trunk_rank, "_MAX_FRAMES", 4)
    config = tiny_run.config(samples, ["motion_segmentation"])
    run = run_lib.build_run(config, tmp_path)
    of_trunk = trunk_rank.TrunkRank(run)
    before = [weight.numpy() for weight in run.trunk.weights]
    first = of_trunk.measure(never_stops.NeverStops().check)
    for weight, value in zip(run.trunk.weights, before):
        np.testing.assert_array_equal(weight.numpy(), value)
    assert first.pictures == 4
    for variable in run.trunk.trainable_variables:
        variable.assign(np.zeros(variable.shape, np.float32))
    # Every picture is the same to it.
    collapsed = of_trunk.measure(never_stops.NeverStops().check)
    run.close()
    assert collapsed.rankme < 1.01 < first.rankme
    assert collapsed.spread < 1e-5
