"""Predictions of whole data sets, and how good they are."""

from coopt.evaluate.logits import ImageLogits as ImageLogits
from coopt.evaluate.logits import dataset_logits as dataset_logits
from coopt.evaluate.logits import measure as measure
from coopt.evaluate.logits import own_stream as own_stream
