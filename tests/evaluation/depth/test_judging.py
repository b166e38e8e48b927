"""Judging, prediction and export of a depth model, and its pictures."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from evaluation.depth import config as depth_config
from evaluation.depth import judging
from evaluation.depth import model as model_lib
from evaluation.depth import pairs as pairs_lib
from evaluation.depth import pictures
from evaluation.depth import predictor
from mtssl_tf.models import config as model_config
from mtssl_tf.models import input_contract
from mtssl_tf.models import trunk as trunk_lib

_CONFIG = depth_config.DepthConfig(picture_size=(32, 48), up_filters=(4, 4, 4))


def _pairs():
    """Two pictures: 1 m with a border of 4 m, and 3 m with a hole."""
    near = np.full((480, 640), 4.0, np.float32)
    near[45:471, 41:601] = 1.0
    far = np.full((480, 640), 3.0, np.float32)
    far[200:300] = 0.0
    rgb = np.zeros((480, 640, 3), np.uint8)
    return [
        pairs_lib.DepthPair("near", rgb, near),
        pairs_lib.DepthPair("far", rgb, far),
    ]


def test_mean_depth_is_over_known_pixels():
    pairs = _pairs()
    known = np.concatenate([p.depth_m[p.depth_m > 0] for p in pairs])
    assert judging.mean_depth(pairs) == pytest.approx(known.mean(), rel=1e-5)


def test_judges_whole_picture_and_crop_beside_the_mean():
    def predict(rgb):
        return tf.ones(tf.shape(rgb)[:3])

    model, guess = judging.judge(predict, _pairs(), mean_depth_m=3.0)
    inside, border = 426 * 560, 480 * 640 - 426 * 560
    hole_whole, hole_cropped = 100 * 640, 100 * 560
    num_known = 2 * 480 * 640 - hole_whole
    assert model["delta1"] == pytest.approx(100 * inside / num_known)
    assert guess["delta1"] == pytest.approx(
        100 * (480 * 640 - hole_whole) / num_known
    )
    assert model["eigen_crop"]["delta1"] == pytest.approx(
        100 * inside / (2 * inside - hole_cropped)
    )
    assert guess["rel"] == pytest.approx(
        (2.0 * inside + 0.25 * border) / num_known
    )


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    trunk = trunk_lib.build_trunk(
        model_config.TrunkConfig(50, (1, 1, 1), 0.125, bn_decay=0.9)
    )
    model = model_lib.build_depth_model(trunk, _CONFIG.up_filters, 0.9, 2.0)
    # Otherwise it says the same everywhere.
    model.get_layer("depth").kernel.assign_add(
        np.linspace(-1.0, 1.0, 36, dtype=np.float32).reshape(3, 3, 4, 1)
    )
    return model


def test_predicts_at_the_picture_s_size_and_never_below_the_minimum(model):
    predict = predictor.build_predictor(
        model, input_contract.InputContract(), _CONFIG
    )
    rgb = np.random.default_rng(0).integers(0, 256, (2, 75, 101, 3), np.uint8)
    depth = predict(tf.constant(rgb)).numpy()
    assert depth.shape == (2, 75, 101)
    assert np.ptp(depth) > 0.01
    bias = model.get_layer("depth").bias
    before = bias.numpy()
    bias.assign([-1e9])
    lowest = predict(tf.constant(rgb)).numpy()
    bias.assign(before)
    np.testing.assert_array_equal(lowest, np.float32(_CONFIG.min_depth_m))


def test_saved_model_takes_uint8_and_gives_the_same_metres(model, tmp_path):
    predict = predictor.build_predictor(
        model, input_contract.InputContract(), _CONFIG
    )
    predictor.export_predictor(model, predict, tmp_path / "depth")
    served = tf.saved_model.load(str(tmp_path / "depth"))
    rgb = np.random.default_rng(1).integers(0, 256, (1, 64, 96, 3), np.uint8)
    np.testing.assert_allclose(
        served.serve(tf.constant(rgb)), predict(tf.constant(rgb)), atol=1e-5
    )
    assert served.serve(tf.constant(rgb[:, :50])).shape == (1, 50, 96)
    for name in ("serve", "serving_default"):
        depth = served.signatures[name](rgb=tf.constant(rgb))
        np.testing.assert_array_equal(*depth.values(), served.serve(rgb))


def test_a_saved_models_variables_are_in_the_models_order(model, tmp_path):
    # They were in an order of their own in every process, and so the files
    # of two equal runs differed.
    predict = predictor.build_predictor(
        model, input_contract.InputContract(), _CONFIG
    )
    predictor.export_predictor(model, predict, tmp_path / "depth")
    reader = tf.train.load_checkpoint(
        str(tmp_path / "depth" / "variables" / "variables")
    )
    saved = {
        int(name.split("/")[1]): reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if "variables" in name.split("/")[0]
    }
    assert saved.keys() == set(range(len(model.variables)))
    for number, variable in enumerate(model.variables):
        np.testing.assert_array_equal(saved[number], variable)


def test_one_colour_scale_for_truth_and_prediction(tmp_path):
    # Truth and prediction agree in the second row, so must their colours.
    pairs = [
        pairs_lib.DepthPair("a", np.zeros((48, 64, 3), np.uint8), depth)
        for depth in (
            np.full((48, 64), 1.0, np.float32),
            np.full((48, 64), 3.0, np.float32),
        )
    ]
    pairs[0].depth_m[:24] = 0.0
    predictions = [np.full((48, 64), 3.0, np.float32)] * 2
    pictures.save_depth_pictures(pairs, predictions, tmp_path / "depth.png")
    image = cv2.imread(str(tmp_path / "depth.png"))
    row_2 = image[int(0.62 * image.shape[0])]
    truth, prediction = (row_2[int(x * image.shape[1])] for x in (0.37, 0.62))
    np.testing.assert_array_equal(truth, prediction)
    row_1 = image[int(0.4 * image.shape[0])]
    assert np.any(row_1[int(0.37 * image.shape[1])] != truth)
