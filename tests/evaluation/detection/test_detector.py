"""The detector: its variables, losses, training, resuming and export."""

import dataclasses
import signal

import each_change
import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny_families

from evaluation import fine_tuning
from evaluation.detection import batches as batches_lib
from evaluation.detection import boxes as box_form
from evaluation.detection import export
from evaluation.detection import faster_rcnn
from evaluation.detection import protocol as protocol_lib
from evaluation.detection import run
from evaluation.detection import training as training_lib
from evaluation.detection import voc_data
from evaluation.detection import voc_picture
from mtssl_tf import pretrained as pretrained_lib
from mtssl_tf.models import config as model_config
from mtssl_tf.models import families
from mtssl_tf.models import input_contract
from mtssl_tf.models import lasso_mix
from mtssl_tf.models import trunk as trunk_lib
from mtssl_tf.process import command

_TRUNK = model_config.TrunkConfig(
    depth=50, num_units=(1, 1, 2), width=1 / 8, bn_decay=0.9
)
_PROTOCOL = dataclasses.replace(
    protocol_lib.PRESETS["tiny"],
    train_short_sides_px=(96,),
    train_long_side_px=128,
    test_short_side_px=96,
    test_long_side_px=128,
    canvas_multiple_px=128,
    anchor_sides_px=(32, 64),
    rpn_channels=16,
    train_proposals=(64, 16),
    test_proposals=(64, 16),
    roi_samples=8,
    roi_crop=4,
    batch_norm_batches=2,
    steps=4,
    learning_rate=2e-2,
)
_CLASSES = len(voc_picture.CLASSES)


@pytest.fixture(scope="module")
def pictures(shared_data):
    data = str(shared_data / "voc2012")
    return voc_data.load_split(data, "trainval", is_strict=True).pictures


@pytest.fixture(scope="module")
def batches(pictures):
    return _batches(pictures, _PROTOCOL)


def _batches(pictures, protocol):
    return batches_lib.TrainingBatches(
        pictures, protocol, input_contract.InputContract().means_rgb, seed=0
    )


def _build(batches, protocol=_PROTOCOL, seed=0):
    """A random detector, set up as the program does it."""
    keras.utils.set_random_seed(seed)
    pretrained = pretrained_lib.load_pretrained("random", 16, _TRUNK, seed)
    return run.build_detector(pretrained, protocol, batches)


@pytest.fixture(scope="module")
def detector(batches):
    return _build(batches)


def _losses(detector, batch, seed=(0, 0)):
    values = detector.losses(
        tf.constant(batch.images),
        tf.constant(batch.sizes),
        tf.constant(batch.boxes),
        tf.constant(batch.classes),
        tf.constant(seed, tf.int32),
    )
    return {name: float(value) for name, value in values.items()}


def test_every_variable_is_counted_once():
    trunk = trunk_lib.build_trunk(_TRUNK)
    block4 = trunk_lib.build_block4(_TRUNK, first_stride=2)
    mix = lasso_mix.LassoMix(proximal=True)
    detector = faster_rcnn.FasterRcnn(
        trunk, block4, input_contract.InputContract(), _PROTOCOL, _CLASSES, mix
    )
    names = {id(variable) for variable in detector.trainable_variables}
    assert len(names) == len(detector.trainable_variables)
    theirs = [
        *trunk.trainable_variables,
        *block4.trainable_variables,
        *mix.trainable_variables,
    ]
    assert {id(variable.value) for variable in theirs} <= names
    # Proposal head: convolution, batch norm, scores, boxes. Box head: two
    # linear layers. Each has two variables.
    assert len(names) == len(theirs) + 2 * (4 + 2)
    everything = {id(variable) for variable in detector.variables}
    moving = [*trunk.variables, *block4.variables]
    assert {id(variable.value) for variable in moving} <= everything


@pytest.fixture(scope="module")
def trained(batches):
    """A training of two steps with a mix, and the variables before it."""
    protocol = dataclasses.replace(
        _PROTOCOL, use_lasso=True, lasso_l1=0.1, warmup_steps=0
    )
    detector = _build(batches, protocol)
    training = training_lib.DetectorTraining(detector, protocol, seed=0)
    before = [variable.numpy() for variable in detector.variables]
    for step in range(2):
        training.run_step(batches.at(step))
    return training, before


def test_training_moves_the_trunk_and_all_else_but_batch_norms(trained):
    training, before = trained
    detector = training.detector
    norms = detector.batch_norms()
    frozen = {
        id(variable.value)
        for layer in norms["trunk"] + norms["block4"]
        for variable in layer.variables
    }
    frozen |= {id(x) for layer in norms["rpn_head"] for x in layer.variables}
    assert len(detector.trainable_variables) + len(frozen) == len(before)
    for variable, value in zip(detector.variables, before):
        is_same = np.array_equal(variable.numpy(), value)
        assert is_same == (id(variable) in frozen), variable.name


def test_lasso_mixes_all_units_with_norm_one(trained):
    weights = trained[0].detector.mix.mixing_weights()
    assert len(weights) == 2
    assert weights[0] != weights[1]  # they start equal
    assert np.linalg.norm(weights) == pytest.approx(1, abs=1e-6)


class _NothingToLearn:
    """Stands in for a detector whose losses have no gradient."""

    def __init__(self, protocol):
        self.mix = lasso_mix.LassoMix(protocol.lasso_l1, proximal=True)
        self.mix.build([(None, 2, 2, 1)] * 2)
        self.mix.raw_weights.assign([0.6, 0.8])
        self.variables = [self.mix.raw_weights.value]
        self.trainable_variables = self.variables

    def losses(self, *unused_batch):
        return {"class": tf.reduce_sum(0.0 * self.variables[0])}


def test_a_step_without_gradient_shrinks_the_mix(batches):
    # A kind of fault: one copy of the lasso's step left out 1 - momentum, and
    # the same penalty was ten times weaker than elsewhere.
    protocol = dataclasses.replace(
        _PROTOCOL, use_lasso=True, lasso_l1=0.5, warmup_steps=2
    )
    detector = _NothingToLearn(protocol)
    training = training_lib.DetectorTraining(detector, protocol, seed=0)
    training.run_step(batches.at(0))
    # The first of two steps of the rise, at half the rate.
    shrunk = np.array([0.6, 0.8]) - 0.5 * (2e-2 / 2) / (1 - 0.9)
    np.testing.assert_allclose(
        detector.mix.mixing_weights(),
        shrunk / np.linalg.norm(shrunk),
        rtol=1e-5,
    )


def test_losses_fall_until_one_is_not_finite(trained, batches):
    training, _ = trained
    batch = batches.at(0)
    losses = [training.run_step(batch)["total"] for _ in range(20)]
    # Each step draws other samples: single losses jump.
    assert np.mean(losses[-10:]) < 0.7 * losses[0]
    broken = dataclasses.replace(
        batch, images=np.full_like(batch.images, np.nan)
    )
    with pytest.raises(FloatingPointError, match="at step 23.*0.02"):
        fine_tuning.run_checked_step(training, broken)


def test_trained_batch_norms_move_too(batches):
    protocol = dataclasses.replace(_PROTOCOL, freeze_batch_norm=False)
    detector = _build(batches, protocol)
    training = training_lib.DetectorTraining(detector, protocol, seed=0)
    norms = detector.batch_norms()
    variables = [
        variable
        for layer in norms["trunk"] + norms["block4"]
        for variable in (layer.moving_mean, layer.gamma)
    ]
    before = [variable.numpy() for variable in variables]
    training.run_step(batches.at(0))
    training.run_step(batches.at(1))
    for variable, value in zip(variables, before):
        assert not np.array_equal(variable.numpy(), value), variable.path


def test_batch_norms_among_random_weights_are_estimated(detector):
    for layer in detector.batch_norms()["trunk"]:
        assert not layer.trainable
        assert not np.allclose(layer.moving_variance.numpy(), 1)
        assert layer.momentum == pytest.approx(0.9)


def test_a_transferred_block4_shares_its_weights(batches):
    pretrained = pretrained_lib.load_pretrained("random", 16, _TRUNK)
    block4 = trunk_lib.build_block4(_TRUNK)
    transferred = dataclasses.replace(
        pretrained, block4=block4, source="somewhere"
    )
    detector = run.build_detector(transferred, _PROTOCOL, batches)
    names = {id(variable) for variable in detector.variables}
    assert {id(variable.value) for variable in block4.variables} <= names
    # Its statistics, and the trunk's, are the transferred ones.
    for name in ("trunk", "block4"):
        for layer in detector.batch_norms()[name]:
            np.testing.assert_array_equal(layer.moving_mean.numpy(), 0)


def test_anchors_have_the_sides_and_ratios_asked_for():
    protocol = protocol_lib.VocDetectionProtocol()
    anchors = faster_rcnn.anchor_boxes(protocol, 64, 96).numpy()
    assert anchors.shape == (4, 6, 9 * 4)
    boxes = anchors[1, 2].reshape(9, 4)
    np.testing.assert_allclose(
        (boxes[:, :2] + boxes[:, 2:]) / 2, np.tile([[24, 40]], (9, 1))
    )
    np.testing.assert_allclose(
        np.sqrt(box_form.areas(boxes)),
        np.repeat([128, 256, 512], 3),
        rtol=1e-5,
    )
    height, width = (boxes[:, 2:] - boxes[:, :2]).T
    np.testing.assert_allclose(
        width / height, np.tile([0.5, 1, 2], 3), rtol=1e-5
    )


def test_losses_start_where_a_blind_guess_is(detector, batches):
    losses = _losses(detector, batches.at(0))
    # All anchors sampled: ln 2 each. Classes: ln 21 each.
    assert losses["rpn_score"] == pytest.approx(np.log(2), abs=0.05)
    assert losses["class"] == pytest.approx(np.log(_CLASSES + 1), abs=0.3)
    assert all(np.isfinite(list(losses.values())))


def test_samples_follow_the_seed(detector, batches):
    batch = batches.at(0)
    first = _losses(detector, batch, (0, 1))
    assert _losses(detector, batch, (0, 1)) == first
    assert _losses(detector, batch, (0, 2)) != first


def test_padding_rows_are_no_objects(detector, batches):
    batch = batches.at(0)
    wider = dataclasses.replace(
        batch,
        boxes=np.pad(batch.boxes, ((0, 0), (0, 5), (0, 0)), constant_values=-1),
        classes=np.pad(batch.classes, ((0, 0), (0, 5)), constant_values=-1),
    )
    expected = _losses(detector, batch)
    found = _losses(detector, wider)
    for name in ("rpn_score", "rpn_box"):
        assert found[name] == pytest.approx(expected[name], rel=1e-5)


def test_four_steps_equal_two_and_two(batches, tmp_path):
    class StopAfterTwo:
        """Sends this process a SIGTERM before the second step."""

        def from_step(self, start, end):
            for number, batch in enumerate(batches.from_step(start, end)):
                if number == 1:
                    signal.raise_signal(signal.SIGTERM)
                yield batch

    whole = training_lib.DetectorTraining(_build(batches), _PROTOCOL, seed=0)
    with pytest.raises(command.Interrupted, match="step 2"):
        training_lib.train(whole, StopAfterTwo(), tmp_path)
    for batch in batches.from_step(2, 4):
        whole.run_step(batch)
    # Another start: everything has to come from the checkpoint.
    resumed = training_lib.DetectorTraining(
        _build(batches, seed=1), _PROTOCOL, seed=0
    )
    training_lib.train(resumed, batches, tmp_path)
    assert resumed.step == whole.step == 4
    for one, other in zip(whole.detector.variables, resumed.detector.variables):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_detections_lie_in_their_pictures(detector, pictures):
    found = run.detect_pictures(
        detector,
        pictures[:3],
        _PROTOCOL,
        input_contract.InputContract().means_rgb,
    )
    assert len(found.scores)
    for index, picture in enumerate(pictures[:3]):
        boxes = found.boxes[found.pictures == index]
        assert np.all(boxes >= 0)
        assert np.all(boxes <= [picture.height, picture.width] * 2)
    assert np.all(box_form.areas(found.boxes) > 0)
    assert found.classes.min() >= 0 and found.classes.max() < _CLASSES


def test_the_export_finds_the_same_boxes(detector, pictures, tmp_path):
    means = input_contract.InputContract().means_rgb
    export.export_detector(
        detector, _PROTOCOL, input_contract.InputContract(), tmp_path
    )
    exported = tf.saved_model.load(str(tmp_path)).signatures["detect"]
    for picture in pictures[:2]:
        expected = run.detect_pictures(detector, [picture], _PROTOCOL, means)
        found = exported(image=tf.constant(picture.load_rgb()))
        np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-4)
        # Equal scores may change places: compare the surest alone.
        np.testing.assert_allclose(
            found["boxes"][0], expected.boxes[0], atol=0.1
        )
        assert found["classes"][0] == expected.classes[0]


def test_the_learning_rate_rises_and_falls():
    protocol = dataclasses.replace(
        _PROTOCOL, learning_rate=1.0, warmup_steps=4, decay_steps=(10, 20)
    )
    steps = (0, 3, 9, 10, 20)
    rates = [training_lib.learning_rate(protocol, n) for n in steps]
    np.testing.assert_allclose(rates, [0.25, 1, 1, 0.1, 0.01])


@pytest.mark.long
def test_the_papers_size_trains_and_tests_one_step(pictures):
    protocol = dataclasses.replace(
        protocol_lib.VocDetectionProtocol(),
        train_short_sides_px=(600,),
        train_long_side_px=1000,
        batch_norm_batches=1,
    )
    batches = _batches(pictures, protocol)
    pretrained = pretrained_lib.load_pretrained(
        "random", 16, model_config.TrunkConfig(depth=101)
    )
    detector = run.build_detector(pretrained, protocol, batches)
    training = training_lib.DetectorTraining(detector, protocol, seed=0)
    losses = training.run_step(batches.at(0))
    assert np.isfinite(losses["total"])
    found = run.detect_pictures(
        detector,
        pictures[:1],
        protocol,
        input_contract.InputContract().means_rgb,
    )
    assert len(found.scores) <= protocol.max_detections


@pytest.mark.parametrize("use_lasso", each_change.only(True, of=[False, True]))
@pytest.mark.parametrize(
    "name", each_change.only("vgg16", of=families.FAMILIES)
)
def test_every_family_of_trunks_is_trained_to_detect(name, use_lasso, batches):
    protocol = dataclasses.replace(
        _PROTOCOL, use_lasso=use_lasso, warmup_steps=0
    )
    pretrained = pretrained_lib.load_pretrained(
        "random", 16, tiny_families.CONFIGS[name]
    )
    before = pretrained.trunk.get_weights()
    detector = run.build_detector(pretrained, protocol, batches)
    training = training_lib.DetectorTraining(detector, protocol, seed=0)
    losses = training.run_step(batches.at(0))
    assert np.isfinite(list(losses.values())).all()
    kernel = next(v.path for v in pretrained.trunk.weights)
    after = pretrained.trunk.get_weights()
    assert not np.array_equal(before[0], after[0]), kernel
    assert (detector.mix is not None) == use_lasso
