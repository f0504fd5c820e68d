"""Predictions of whole data sets, and how good they are."""

from coopt.evaluate.logits import ImageLogits, dataset_logits, measure, own_stream

__all__ = ["ImageLogits", "dataset_logits", "measure", "own_stream"]
