"""Faster R-CNN on a trunk, put together from tf-models' parts.

The proposal head, anchors and their targets, proposals, their sampling and
alignment, the losses and the final suppression are official.vision's, as they
are. Ours are the trunk, block 4 as the box head, and how they meet. The layout
is "C4": proposals and box head both read block 3 at stride 16.

Deviations of official.vision from Faster R-CNN that come with it: crops are
aligned (bilinear at exact places), anchors that cross the border are trained
too, and its own average normalises the box losses.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import functools
import itertools
from unittest import mock

import keras
from official.vision.losses import maskrcnn_losses
from official.vision.modeling import maskrcnn_model
from official.vision.modeling.heads import dense_prediction_heads
from official.vision.modeling.layers import detection_generator
from official.vision.modeling.layers import roi_aligner
from official.vision.modeling.layers import roi_generator
from official.vision.modeling.layers import roi_sampler
from official.vision.ops import anchor
import tensorflow as tf
import tf_keras

from evaluation.detection import protocol as protocol_lib
from evaluation.detection import tf_keras_layers
from mtssl_tf.models import input_contract

_LEVEL_NAME = str(tf_keras_layers.LEVEL)
_RPN_MATCH_IOU = 0.7  # Faster R-CNN
_RPN_MISS_IOU = 0.3  # Faster R-CNN
_RPN_HUBER_DELTA = 1 / 9  # Faster R-CNN: smooth L1 with sigma 3
_BOX_HUBER_DELTA = 1.0  # Faster R-CNN
_BUILD_SIZE_PX = (
    4 * protocol_lib.STRIDE_PX
)  # any small canvas makes the variables


class FasterRcnn:
    """A detector: its losses, its detections and its variables.

    Args:
        trunk: as `build_trunk` makes it, at output stride 16.
        block4: as `build_block4` makes it, with first stride 2.
        contract: maps RGB in 0..255 to the trunk's input.
        protocol: settings.
        num_classes: without the background.
        mix: a `LassoMix` over the trunk's units; None reads the last unit.

    Attributes:
        model: official.vision's model.
        mix: as given.
    """

    def __init__(
        self,
        trunk: keras.Model,
        block4: keras.Model,
        contract: input_contract.InputContract,
        protocol: protocol_lib.VocDetectionProtocol,
        num_classes: int,
        mix=None,
    ):
        self.mix = mix
        self._protocol = protocol
        self._keras_parts = [trunk, block4]
        if mix is not None and not mix.built:
            mix.build({name: x.shape for name, x in trunk.output.items()})
        self.model = _build_model(
            tf_keras_layers.TrunkLayer(trunk, mix, contract, name="trunk"),
            tf_keras_layers.BoxHead(block4, num_classes + 1, name="box_head"),
            protocol,
        )
        self._rpn_labeler = anchor.RpnAnchorLabeler(
            _RPN_MATCH_IOU,
            _RPN_MISS_IOU,
            protocol.rpn_samples,
            protocol.rpn_foreground,
        )
        size = float(_BUILD_SIZE_PX)
        self.detect(
            tf.zeros([1, _BUILD_SIZE_PX, _BUILD_SIZE_PX, 3]),
            tf.constant([[size, size]]),
        )

    @property
    def trainable_variables(self) -> list[tf.Variable]:
        """What training changes, in a fixed order."""
        return self.model.trainable_variables

    @property
    def variables(self) -> list[tf.Variable]:
        """Everything that a checkpoint has to hold, in a fixed order."""
        return self.model.variables

    def batch_norms(self) -> dict[str, list]:
        """Batch norm layers of 'trunk', 'block4' and 'rpn_head'."""
        trunk, block4 = self._keras_parts
        kind = keras.layers.BatchNormalization
        rpn_kind = tf_keras.layers.BatchNormalization
        modules = self.model.rpn_head.submodules
        return {
            "trunk": [x for x in trunk.layers if isinstance(x, kind)],
            "block4": [x for x in block4.layers if isinstance(x, kind)],
            "rpn_head": [x for x in modules if isinstance(x, rpn_kind)],
        }

    def detect(self, images: tf.Tensor, sizes: tf.Tensor) -> dict:
        """Finds objects.

        Args:
            images: float32 [B, H, W, 3], RGB in 0..255; H and W are known
                multiples of 16.
            sizes: float32 [B, 2], the part that a picture fills.

        Returns:
            detection_boxes float32 [B, D, 4] on the canvas, detection_scores
            [B, D] falling, detection_classes int32 [B, D] from 1, and
            num_detections int32 [B]: the first so many are detections.
        """
        outputs = self.model(
            images,
            image_shape=sizes,
            anchor_boxes=self._anchors(images),
            training=False,
        )
        names = ("boxes", "scores", "classes")
        found = {
            f"detection_{name}": outputs[f"detection_{name}"] for name in names
        }
        return {**found, "num_detections": outputs["num_detections"]}

    def losses(
        self,
        images: tf.Tensor,
        sizes: tf.Tensor,
        boxes: tf.Tensor,
        classes: tf.Tensor,
        seed: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The four losses, as float32 scalars.

        Args:
            images: as in `detect`.
            sizes: as in `detect`.
            boxes: float32 [B, M, 4] on the canvas, -1 beyond the objects.
            classes: int32 [B, M] from 1, -1 beyond the objects.
            seed: int32 [2], of the anchors and proposals sampled.
        """
        anchors = self._anchors(images)
        with _stateless_shuffles(seed):
            outputs = self.model(
                images,
                image_shape=sizes,
                anchor_boxes=anchors,
                gt_boxes=boxes,
                gt_classes=classes,
                training=True,
            )
            score_targets, box_targets = self._rpn_targets(
                anchors, boxes, classes
            )
        return {
            "rpn_score": maskrcnn_losses.RpnScoreLoss(
                self._protocol.rpn_samples
            )(outputs["rpn_scores"], score_targets),
            "rpn_box": maskrcnn_losses.RpnBoxLoss(_RPN_HUBER_DELTA)(
                outputs["rpn_boxes"], box_targets
            ),
            "class": maskrcnn_losses.FastrcnnClassLoss()(
                outputs["class_outputs"], outputs["class_targets"]
            ),
            "box": maskrcnn_losses.FastrcnnBoxLoss(_BOX_HUBER_DELTA)(
                outputs["box_outputs"],
                outputs["class_targets"],
                outputs["box_targets"],
            ),
        }

    def _anchors(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Anchors of every picture: {'4': [B, h, w, 4 A]}."""
        boxes = anchor_boxes(self._protocol, *images.shape[1:3])
        return {
            _LEVEL_NAME: tf.tile(boxes[None], [tf.shape(images)[0], 1, 1, 1])
        }

    def _rpn_targets(
        self,
        anchors: dict[str, tf.Tensor],
        boxes: tf.Tensor,
        classes: tf.Tensor,
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Targets of the proposal head: scores [B, h, w, A], boxes 4 A."""
        scores, offsets = [], []
        for row in range(boxes.shape[0]):
            # The labeler gives every object its best anchor; padding would
            # take the first one.
            is_object = classes[row] > 0
            score, offset = self._rpn_labeler.label_anchors(
                {_LEVEL_NAME: anchors[_LEVEL_NAME][row]},
                tf.boolean_mask(boxes[row], is_object),
                tf.boolean_mask(classes[row], is_object)[:, None],
            )
            scores.append(score[_LEVEL_NAME])
            offsets.append(offset[_LEVEL_NAME])
        return {_LEVEL_NAME: tf.stack(scores)}, {_LEVEL_NAME: tf.stack(offsets)}


def anchor_boxes(
    protocol: protocol_lib.VocDetectionProtocol, height: int, width: int
) -> tf.Tensor:
    """Anchors over a canvas: float32 [H/16, W/16, 4 A].

    One `Anchor` a side: its `num_scales` divides an octave, where these are
    whole octaves apart on a single map.
    """
    return tf.concat(
        [
            anchor.Anchor(
                tf_keras_layers.LEVEL,
                tf_keras_layers.LEVEL,
                num_scales=1,
                aspect_ratios=list(protocol.anchor_ratios),
                anchor_size=side / protocol_lib.STRIDE_PX,
                image_size=[height, width],
            ).multilevel_boxes[_LEVEL_NAME]
            for side in protocol.anchor_sides_px
        ],
        axis=-1,
    )


def _build_model(
    trunk: tf_keras_layers.TrunkLayer,
    box_head: tf_keras_layers.BoxHead,
    protocol: protocol_lib.VocDetectionProtocol,
) -> maskrcnn_model.MaskRCNNModel:
    num_anchors = len(protocol.anchor_sides_px) * len(protocol.anchor_ratios)
    return maskrcnn_model.MaskRCNNModel(
        backbone=trunk,
        decoder=None,
        rpn_head=dense_prediction_heads.RPNHead(
            min_level=tf_keras_layers.LEVEL,
            max_level=tf_keras_layers.LEVEL,
            num_anchors_per_location=num_anchors,
            num_filters=protocol.rpn_channels,
        ),
        detection_head=box_head,
        roi_generator=roi_generator.MultilevelROIGenerator(
            pre_nms_top_k=protocol.train_proposals[0],
            pre_nms_min_size_threshold=protocol.proposal_min_side_px,
            nms_iou_threshold=protocol.proposal_nms_iou,
            num_proposals=protocol.train_proposals[1],
            test_pre_nms_top_k=protocol.test_proposals[0],
            test_pre_nms_min_size_threshold=protocol.proposal_min_side_px,
            test_nms_iou_threshold=protocol.proposal_nms_iou,
            test_num_proposals=protocol.test_proposals[1],
        ),
        roi_sampler=roi_sampler.ROISampler(
            num_sampled_rois=protocol.roi_samples,
            foreground_fraction=protocol.roi_foreground,
            foreground_iou_threshold=protocol.roi_foreground_iou,
            background_iou_high_threshold=protocol.roi_foreground_iou,
        ),
        roi_aligner=roi_aligner.MultilevelROIAligner(protocol.roi_crop),
        detection_generator=detection_generator.DetectionGenerator(
            pre_nms_score_threshold=protocol.score_threshold,
            nms_iou_threshold=protocol.nms_iou,
            max_num_detections=protocol.max_detections,
            nms_version="batched",
        ),
        min_level=tf_keras_layers.LEVEL,
        max_level=tf_keras_layers.LEVEL,
    )


@contextlib.contextmanager
def _stateless_shuffles(seed: tf.Tensor) -> Iterator[None]:
    """Makes the samplers draw from `seed`, while they are being traced.

    official.vision's samplers call `tf.random.shuffle`, whose state lives in
    the op and in no checkpoint, so that a resumed run would sample other
    anchors. The function has a stateless twin; each call gets its own seed.
    """
    calls = itertools.count()

    def shuffle(value, seed=None, name=None):
        del seed  # none of the samplers gives one
        return tf.random.experimental.stateless_shuffle(
            value, folded(next(calls)), name=name
        )

    folded = functools.partial(tf.random.fold_in, seed)
    with mock.patch.object(tf.random, "shuffle", shuffle):
        yield
