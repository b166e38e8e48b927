"""What the comparisons of trunks with TF-Slim's share."""

import dataclasses

import numpy as np
import slim_reference

from mtssl_tf import slim_names
from mtssl_tf.trunk import build_trunk
from mtssl_tf.trunk import TrunkConfig


def build_trunks(depth):
    """Returns {output stride: trunk}, on one set of weights."""
    config = TrunkConfig(depth=depth, output_stride=32)
    trunks = {32: build_trunk(config)}
    for stride in (16, 8):
        config = dataclasses.replace(config, output_stride=stride)
        trunks[stride] = build_trunk(config, share=trunks[32])
    return trunks


def set_random_weights(*models):
    """Sets weights as `SlimReference` does.

    Returns:
        {TF-Slim's name without the scope: variable}.
    """
    variables = {}
    for model in models:
        for name, variable in slim_names.slim_variables(model, "x").items():
            variables[name.removeprefix("x/")] = variable
    shapes = {name: tuple(v.shape) for name, v in variables.items()}
    for name, array in slim_reference.random_weights(shapes).items():
        variables[name].assign(array)
    return variables


def relative_error(actual, expected):
    """Returns the largest difference over the largest expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    return np.abs(actual - expected).max() / np.abs(expected).max()


def worst_error(actual, expected):
    """Returns the largest relative error of {name: array}."""
    assert sorted(actual) == sorted(expected)
    return max(relative_error(actual[k], expected[k]) for k in expected)
