"""Exports a trained detector as a SavedModel that takes any picture."""

from __future__ import annotations

import pathlib

import tensorflow as tf

from evaluation.detection import batches
from evaluation.detection import faster_rcnn
from evaluation.detection import protocol as protocol_lib
from mtssl_tf.formats import saved_model
from mtssl_tf.models import input_contract
from mtssl_tf.process import atomic_file


class ExportedDetector(tf.Module):
    """A detector from a picture to boxes in that picture's coordinates.

    Saving the tf_keras model itself fails, since it takes several inputs and
    holds a Keras 3 trunk; a module with one function of fixed signature can
    be saved.
    """

    def __init__(
        self,
        detector: faster_rcnn.FasterRcnn,
        protocol: protocol_lib.VocDetectionProtocol,
        contract: input_contract.InputContract,
    ):
        super().__init__(name="detector")
        multiple = protocol.canvas_multiple_px
        # Either side may be the long one.
        self._side = -(-protocol.test_long_side_px // multiple) * multiple
        self._short_side = protocol.test_short_side_px
        self._long_side = protocol.test_long_side_px
        self._contract = contract
        self._detector = detector
        self.state = detector.variables  # tracked, so that they are saved

    @tf.function(
        input_signature=[tf.TensorSpec([None, None, 3], tf.uint8, "image")],
        autograph=False,
    )
    def detect(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """Finds objects.

        Args:
            image: uint8 [H, W, 3], RGB, of any size.

        Returns:
            boxes float32 [D, 4] as y_min, x_min, y_max, x_max in pixels of
            the image from 0; scores float32 [D], falling; classes int32 [D],
            0 for aeroplane to 19 for tvmonitor.
        """
        size = tf.cast(tf.shape(image)[:2], tf.float64)
        scale = tf.minimum(
            self._short_side / tf.reduce_min(size),
            self._long_side / tf.reduce_max(size),
        )
        scaled_size = tf.maximum(tf.cast(tf.round(size * scale), tf.int32), 1)
        scaled = tf.image.resize(tf.cast(image, tf.float32), scaled_size)
        # Padded with what the contract maps to 0.
        means = tf.constant(self._contract.means_rgb)
        canvas = means + tf.image.pad_to_bounding_box(
            scaled - means, 0, 0, self._side, self._side
        )
        found = self._detector.detect(
            canvas[None], tf.cast(scaled_size, tf.float32)[None]
        )
        factors = tf.cast(tf.cast(scaled_size, tf.float64) / size, tf.float32)
        boxes = found["detection_boxes"][0] / tf.tile(factors, [2])
        limits = tf.tile(tf.cast(size, tf.float32), [2])
        boxes = tf.clip_by_value(boxes, 0.0, limits)
        has_area = tf.reduce_all(boxes[:, 2:] > boxes[:, :2], axis=1)
        number = tf.range(tf.shape(boxes)[0])
        keep = has_area & (number < found["num_detections"][0])
        classes = tf.cast(found["detection_classes"][0], tf.int32)
        return {
            "boxes": tf.boolean_mask(boxes, keep),
            "scores": tf.boolean_mask(found["detection_scores"][0], keep),
            "classes": tf.boolean_mask(classes, keep) - batches.FIRST_CLASS,
        }


def export_detector(
    detector: faster_rcnn.FasterRcnn,
    protocol: protocol_lib.VocDetectionProtocol,
    contract: input_contract.InputContract,
    folder: pathlib.Path,
) -> None:
    """Writes a SavedModel with one signature, `detect`."""
    module = ExportedDetector(detector, protocol, contract)
    with atomic_file.new_folder(folder, replaces=True) as partial:
        saved_model.save_module(module, partial, {"detect": module.detect})
