"""PASCAL VOC detection with Faster R-CNN on a trunk."""
