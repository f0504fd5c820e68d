"""`PromptClassifier`: the main job as a scikit-learn estimator."""

from coopt.estimator.classifier import PromptClassifier
from coopt.estimator.settings import UNSET

__all__ = ["UNSET", "PromptClassifier"]
