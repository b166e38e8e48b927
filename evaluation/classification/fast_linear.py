"""The fast protocol: features once, then fits that take seconds."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from evaluation.classification import data as data_lib
from evaluation.classification import fast_mix
from evaluation.classification import frozen_trunk
from evaluation.classification import metrics as metrics_lib
from evaluation.classification import protocol as protocol_lib
from evaluation.classification import throughput
from mtssl_tf.data import pictures
from mtssl_tf.data import skipped as skipped_lib
from mtssl_tf.data import source as source_lib
from mtssl_tf.frozen import features
from mtssl_tf.frozen import knn
from mtssl_tf.frozen import softmax_regression


@dataclasses.dataclass(frozen=True)
class LinearOutcome:
    """What either protocol measures.

    Attributes:
        metrics: for the result.
        confusion: float64 [K, K], see `classification_metrics.confusion`.
        mixing_weights: float32 [N], or None without a lasso.
        pictures_per_s: from files to features of the test pictures.
        bare_pictures_per_s: through the trunk alone, in the same run.
    """

    metrics: dict[str, Any]
    confusion: np.ndarray
    mixing_weights: np.ndarray | None
    pictures_per_s: float
    bare_pictures_per_s: float


def run_fast(
    trunk: frozen_trunk.FrozenTrunk,
    protocol: protocol_lib.FastLinearProtocol,
    data: data_lib.LabelledData,
    seed: int,
) -> LinearOutcome:
    """Extracts, fits and scores.

    Args:
        trunk: as the protocol asks for it.
        protocol: every setting.
        data: pictures to fit on, and to score.
        seed: of the mix's folds.
    """
    train, test, skipped = data.train, data.test, data.skipped
    train_units, train_classes = _extract(trunk, protocol, train, skipped)
    start = time.perf_counter()
    test_units, test_classes = _extract(trunk, protocol, test, skipped)
    pictures_per_s = len(test) / (time.perf_counter() - start)
    mix = np.ones(1, np.float32)
    if protocol.lasso is not None:
        mix = fast_mix.learn_mix(
            train_units,
            train_classes,
            train.num_classes,
            protocol.lasso,
            protocol.l2,
            protocol.mix_rounds,
            seed,
        )
    train_features = fast_mix.apply_mix(train_units, mix)
    test_features = fast_mix.apply_mix(test_units, mix)
    classifier = softmax_regression.fit_softmax_regression(
        train_features,
        train_classes,
        train.num_classes,
        protocol.l2,
        protocol.max_iterations,
    )
    scores = classifier.logits(test_features)
    neighbours = knn.score_by_neighbours(
        train_features,
        train_classes,
        test_features,
        train.num_classes,
        protocol.num_neighbours,
        protocol.temperature,
    )
    metrics = metrics_lib.classification_metrics(
        scores, test_classes, test.class_names
    )
    by_neighbours = metrics_lib.classification_metrics(
        neighbours, test_classes, test.class_names
    )
    metrics["knn_top1"] = by_neighbours["top1"]
    metrics["knn_recall_at_5"] = by_neighbours["recall_at_5"]
    return LinearOutcome(
        metrics,
        metrics_lib.confusion(scores, test_classes, test.num_classes),
        None if protocol.lasso is None else mix,
        pictures_per_s,
        throughput.bare_forward_pictures_per_s(
            trunk.read_units or trunk.extract,
            protocol.batch_size,
            protocol.image_px,
        ),
    )


def _extract(
    trunk: frozen_trunk.FrozenTrunk,
    protocol: protocol_lib.FastLinearProtocol,
    source: pictures.PictureSource,
    skipped: skipped_lib.SkippedExamples,
) -> tuple[np.ndarray, np.ndarray]:
    batches = data_lib.centre_views(source, protocol, skipped)
    return features.extract_all(
        trunk.extract, source_lib.iterate_once(batches, source)
    )
