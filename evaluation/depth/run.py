"""From a trunk and depth data to a trained, judged and exported model."""

from __future__ import annotations

import pathlib
import time
from typing import Any

import keras
import tensorflow as tf

from evaluation import batch_norm_statistics
from evaluation import fine_tuning
from evaluation import result
from evaluation import run_folder
from evaluation.depth import batches as batches_lib
from evaluation.depth import config as depth_config
from evaluation.depth import judging
from evaluation.depth import metrics as metrics_lib
from evaluation.depth import model as model_lib
from evaluation.depth import pairs as pairs_lib
from evaluation.depth import pictures as pictures_lib
from evaluation.depth import predictor
from evaluation.depth import training as training_lib
from mtssl_tf import config as config_lib
from mtssl_tf import pretrained as pretrained_lib
from mtssl_tf.models import config as model_config

OUTPUT_STRIDE = 16  # paper, sec. 5: three up-projections reach half size
PICTURES_FILE = "pictures.png"
_NUM_PICTURES = 6


def run(
    *,
    trunk_source: str,
    data: pairs_lib.DepthData,
    out_dir: pathlib.Path,
    preset: str,
    config: depth_config.DepthConfig,
    lasso: model_config.LassoConfig | None,
    seed: int,
) -> None:
    """Fine-tunes a trunk on depth and writes everything into `out_dir`.

    Args:
        trunk_source: as `load_pretrained` takes it.
        data: to train and judge on.
        out_dir: for `result.json`, pictures, checkpoints and the SavedModel.
        preset: whose trunk 'random' is.
        config: of model and training.
        lasso: of the mix of units to read; None reads the last unit.
        seed: of everything random.

    Raises:
        command.Interrupted: a signal came.
    """
    started_at = time.monotonic()
    keras.utils.set_random_seed(seed)
    pretrained = pretrained_lib.load_pretrained(
        trunk_source,
        output_stride=OUTPUT_STRIDE,
        random_config=config_lib.PRESETS[preset].trunk,
        seed=seed,
    )
    protocol = depth_config.DepthProtocol(
        data.split, data.test_depth, lasso, config
    )
    summary = data.summary()
    run_folder.check_same_run(
        out_dir, protocol, pretrained, {"data": summary["digest"]}, seed
    )
    mean_depth_m = judging.mean_depth(data.train)
    training = _build(pretrained, config, lasso, mean_depth_m)
    batches = batches_lib.DepthBatches(data.train, config, seed)
    training_lib.train(training, batches, out_dir / "checkpoints")
    _reestimate(training, batches)
    predict = predictor.build_predictor(
        training.model, training.contract, config
    )
    metrics, baseline = judging.judge(predict, data.test, mean_depth_m)
    _draw(predict, data.test, out_dir / PICTURES_FILE)
    predictor.export_predictor(
        training.model, predict, out_dir / run_folder.SAVED_MODEL
    )
    result.save_result(
        out_dir,
        protocol,
        metrics,
        trunk=pretrained,
        data=summary,
        seed=seed,
        wall_time_s=time.monotonic() - started_at,
        extra={
            "mean_depth_baseline": {"depth_m": mean_depth_m, **baseline},
            **fine_tuning.mix_entries("nyu_depth", training.mix),
        },
    )
    print(_table(metrics, baseline))


def _build(
    pretrained: pretrained_lib.Pretrained,
    config: depth_config.DepthConfig,
    lasso: model_config.LassoConfig | None,
    mean_depth_m: float,
) -> training_lib.DepthTraining:
    model = model_lib.build_depth_model(
        pretrained.trunk,
        config.up_filters,
        config.bn_decay,
        mean_depth_m,
        lasso,
    )
    return training_lib.build_training(model, pretrained.contract, config)


def _reestimate(
    training: training_lib.DepthTraining,
    batches: batches_lib.DepthBatches,
) -> None:
    """Averages BN statistics over the batches that training would see next."""
    steps = training.config.steps
    coming = batches.batches(steps, steps + training.config.bn_batches)
    batch_norm_statistics.reestimate_batch_norm(
        training.model,
        (training.contract.apply(pictures) for pictures, _ in coming),
    )


def _draw(
    predict: predictor.Predictor,
    pairs: pairs_lib.DepthPairs,
    path: pathlib.Path,
) -> None:
    drawn = list(pairs_lib.evenly_spaced(pairs, _NUM_PICTURES))
    predictions = [
        predict(tf.constant(pair.rgb[None]))[0].numpy() for pair in drawn
    ]
    pictures_lib.save_depth_pictures(drawn, predictions, path)


def _table(metrics: dict[str, Any], baseline: dict[str, Any]) -> str:
    """Aligned text: a measure a line, the mean guess and the crop beside."""
    sides = (metrics, baseline, metrics["eigen_crop"], baseline["eigen_crop"])
    rows = [["", "model", "mean", "model, crop", "mean, crop"]]
    for name in metrics_lib.METRICS:
        rows.append([name, *(f"{side[name]:.3f}" for side in sides)])
    return "\n".join(
        f"{row[0]:8}" + "".join(f"{cell:>13}" for cell in row[1:])
        for row in rows
    )
