"""Metrics of predictions."""

from coopt.evaluate.metrics import Metrics, evaluate_logits, expected_calibration_error, wilson_interval

__all__ = ["Metrics", "evaluate_logits", "expected_calibration_error", "wilson_interval"]
