"""Dynamic weights (paper, sec. 7): who gets which share of the steps.

A rule is one file here and one line in `RULES`. A weight is a share of the
steps, not a factor on a loss: each task has an RMSProp of its own, in which a
factor on its loss cancels.
"""

from mtssl_tf.weighting import gradient_consistency
from mtssl_tf.weighting import gradnorm
from mtssl_tf.weighting import learning_progress
from mtssl_tf.weighting import rule
from mtssl_tf.weighting import uncertainty

FIXED = "fixed"  # the tasks' own weights, for the whole run: no rule
RULES: dict[str, type[rule.Rule]] = {
    "learning_progress": learning_progress.LearningProgress,
    "gradient_consistency": gradient_consistency.GradientConsistency,
    "uncertainty": uncertainty.Uncertainty,
    "gradnorm": gradnorm.GradNorm,
}
NAMES = (FIXED, *RULES)


def measures_halves(name: str) -> bool:
    """Returns whether a weighting needs gradients of half batches."""
    return name != FIXED and RULES[name].measures_halves
