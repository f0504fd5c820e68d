"""Predictions of whole data sets, and how good they are."""

from coopt.evaluate.logits import ImageLogits, dataset_logits
from coopt.evaluate.metrics import Metrics, check_logits, evaluate_logits, expected_calibration_error, wilson_interval

__all__ = [
    "ImageLogits",
    "Metrics",
    "check_logits",
    "dataset_logits",
    "evaluate_logits",
    "expected_calibration_error",
    "wilson_interval",
]
