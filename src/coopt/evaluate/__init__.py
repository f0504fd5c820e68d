"""Metrics of predictions."""

from coopt.evaluate.metrics import Metrics, check_logits, evaluate_logits, expected_calibration_error, wilson_interval

__all__ = ["Metrics", "check_logits", "evaluate_logits", "expected_calibration_error", "wilson_interval"]
