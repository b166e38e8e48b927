"""From a trunk and VOC splits to a trained and judged detector."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from evaluation import fine_tuning
from evaluation import made_ahead
from evaluation import result
from evaluation import run_folder
from evaluation.detection import batches as batches_lib
from evaluation.detection import export
from evaluation.detection import faster_rcnn
from evaluation.detection import files
from evaluation.detection import metrics
from evaluation.detection import pictures as pictures_lib
from evaluation.detection import protocol as protocol_lib
from evaluation.detection import scored_boxes
from evaluation.detection import training as training_lib
from evaluation.detection import voc_data
from evaluation.detection import voc_picture
from mtssl_tf import config as config_lib
from mtssl_tf import pretrained as pretrained_lib
from mtssl_tf.models import lasso_mix
from mtssl_tf.models import trunk
from mtssl_tf.reports import progress as progress_lib
from mtssl_tf.training import compiled


def run(
    *,
    trunk_source: str,
    train_split: voc_data.VocSplit,
    test_split: voc_data.VocSplit,
    out_dir: pathlib.Path,
    preset: str,
    protocol: protocol_lib.VocDetectionProtocol,
    seed: int,
) -> None:
    """Fine-tunes a detector and writes everything into `out_dir`.

    Args:
        trunk_source: as `load_pretrained` takes it.
        train_split: to train on.
        test_split: to judge on.
        out_dir: for `result.json`, detections, pictures, checkpoints and the
            SavedModel.
        preset: whose trunk 'random' is.
        protocol: settings.
        seed: of everything random.

    Raises:
        command.Interrupted: a signal came.
    """
    started_at = time.monotonic()
    # Sums on several threads or on a GPU come in any order otherwise.
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    pretrained = pretrained_lib.load_pretrained(
        trunk_source,
        output_stride=protocol_lib.STRIDE_PX,
        random_config=config_lib.PRESETS[preset].trunk,
        seed=seed,
    )
    contract = pretrained.contract
    data = {"train": train_split.describe(), "test": test_split.describe()}
    # The detector can be tested on others: those make no other run.
    digests = {"train": train_split.digest()}
    run_folder.check_same_run(out_dir, protocol, pretrained, digests, seed)
    batches = batches_lib.TrainingBatches(
        train_split.pictures, protocol, contract.means_rgb, seed
    )
    detector = build_detector(pretrained, protocol, batches)
    training = training_lib.DetectorTraining(detector, protocol, seed)
    training_lib.train(training, batches, out_dir)
    found = detect_pictures(
        detector, test_split.pictures, protocol, contract.means_rgb
    )
    export.export_detector(
        detector, protocol, contract, out_dir / run_folder.SAVED_MODEL
    )
    score = save_judgement(out_dir, test_split, found)
    result.save_result(
        out_dir,
        protocol,
        score.metrics,
        trunk=pretrained,
        data=data,
        seed=seed,
        wall_time_s=time.monotonic() - started_at,
        extra=fine_tuning.mix_entries("voc_detection", detector.mix),
    )
    print(metrics.as_table(score.metrics))


def build_detector(
    pretrained: pretrained_lib.Pretrained,
    protocol: protocol_lib.VocDetectionProtocol,
    batches: batches_lib.TrainingBatches,
) -> faster_rcnn.FasterRcnn:
    """Puts a detector on a trunk and sets its batch norms up.

    Block 4 is the trunk's own where it has one and random otherwise. Batch
    norms among random weights are estimated on training pictures before all
    of them are frozen.
    """
    config = pretrained.config
    detector = faster_rcnn.FasterRcnn(
        pretrained.trunk,
        trunk.build_block4(
            config,
            first_stride=2,
            share=pretrained.block4,
            channels=pretrained.channels,
        ),
        pretrained.contract,
        protocol,
        len(voc_picture.CLASSES),
        mix=lasso_mix.LassoMix(
            protocol.lasso_l1, proximal=True, dtype="float32", name="mix"
        )
        if protocol.use_lasso
        else None,
    )
    if not protocol.freeze_batch_norm:
        return detector
    norms = detector.batch_norms()
    kept = []
    if not pretrained_lib.is_random(pretrained.source):
        kept += norms.pop("trunk")
    if pretrained.block4 is not None:
        kept += norms.pop("block4")
    for layer in kept:
        layer.trainable = False
    estimated = [layer for layers in norms.values() for layer in layers]
    training_lib.estimate_batch_norm(
        detector,
        estimated,
        [batches.at(step) for step in range(protocol.batch_norm_batches)],
    )
    for layer in estimated:
        layer.trainable = False
    return detector


def detect_pictures(
    detector: faster_rcnn.FasterRcnn,
    pictures: Sequence[voc_picture.Picture],
    protocol: protocol_lib.VocDetectionProtocol,
    padding_rgb: Sequence[float],
) -> scored_boxes.Detections:
    """Detections on all pictures, in the pictures' own coordinates."""
    by_shape: dict[tuple, tf.types.experimental.Callable] = {}
    started_at = time.monotonic()
    progress = progress_lib.ProgressLine(len(pictures), "pictures")
    parts = []

    def prepare(picture: voc_picture.Picture):
        return batches_lib.picture_batch(
            picture.load_rgb(), protocol, padding_rgb
        )

    coming = zip(pictures, made_ahead.made_ahead(prepare, pictures))
    for number, (picture, batch) in enumerate(coming):
        shape = batch.images.shape
        if shape not in by_shape:
            by_shape[shape] = compiled.compile_own(detector.detect)
        outputs = by_shape[shape](
            tf.constant(batch.images), tf.constant(batch.sizes)
        )
        boxes = batch.placements[0].to_picture(
            outputs["detection_boxes"][0].numpy().astype(np.float64)
        )
        parts.append(_to_detections(number, picture, outputs, boxes))
        rate = (number + 1) / (time.monotonic() - started_at)
        progress.update(number + 1, f"tested  {rate:.1f} pictures/s")
    progress.finish(f"tested {len(pictures)} pictures")
    return scored_boxes.join_detections(parts)


def _to_detections(
    number: int, picture: voc_picture.Picture, outputs: dict, boxes: np.ndarray
) -> scored_boxes.Detections:
    limits = np.array([picture.height, picture.width] * 2)
    boxes = np.clip(boxes, 0, limits)
    # The proposals that padding made up have no area, nor has what comes of
    # them.
    is_real = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    is_real[int(outputs["num_detections"][0]) :] = False
    classes = outputs["detection_classes"][0].numpy().astype(np.int64)
    return scored_boxes.Detections(
        pictures=np.full(int(is_real.sum()), number),
        classes=classes[is_real] - batches_lib.FIRST_CLASS,
        boxes=boxes[is_real],
        scores=outputs["detection_scores"][0].numpy()[is_real],
    )


def save_judgement(
    out_dir: pathlib.Path,
    split: voc_data.VocSplit,
    found: scored_boxes.Detections,
) -> metrics.DetectionScore:
    """Scores detections; writes them, the curves and the pictures."""
    names = [picture.name for picture in split.pictures]
    files.save_json(out_dir / "detections.json", found, names)
    files.save_voc_text(out_dir / "voc_text", split.name, found, names)
    score = metrics.score_detections(split.ground_truth(), found)
    pictures_lib.save_all(out_dir, split, found, score.curves)
    return score
