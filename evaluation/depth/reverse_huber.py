"""The reverse Huber loss (berHu) of Laina et al. 2016, section 3.2.

The absolute error near zero, where depth is nearly right, and a quadratic
one beyond a threshold that follows the largest error of the batch.
"""

from keras import ops

THRESHOLD_SHARE = 0.2  # release: of the largest residual in the batch


def reverse_huber(prediction, target):
    """Computes each picture's mean reverse Huber loss over its known depth.

    The threshold c is 0.2 times the largest residual in the whole batch, and
    a constant for the gradient: otherwise a single pixel would receive the
    gradient of all the others.

    Args:
        prediction: float32 [B, h, w], metres.
        target: float32 [B, h, w], metres; 0 or NaN where depth is missing.

    Returns:
        float32 [B], metres; 0 for a picture without any known depth.
    """
    is_known = target > 0
    # The difference is replaced before anything is computed from it: a NaN
    # in a branch not taken still makes the gradient NaN.
    residual = ops.abs(ops.where(is_known, prediction - target, 0.0))
    threshold = ops.stop_gradient(THRESHOLD_SHARE * ops.max(residual))
    # A perfect batch has threshold 0, and never takes the quadratic branch.
    divisor = 2.0 * ops.maximum(threshold, 1e-12)
    quadratic = (ops.square(residual) + ops.square(threshold)) / divisor
    loss = ops.where(residual <= threshold, residual, quadratic)  # [B, h, w]
    num_known = ops.sum(ops.cast(is_known, loss.dtype), axis=(1, 2))
    return ops.sum(loss, axis=(1, 2)) / ops.maximum(num_known, 1.0)
