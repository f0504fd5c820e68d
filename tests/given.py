"""Images that a test already has, as the loop asks for them."""

from torch import Tensor

from coopt.features import FeatureViews
from coopt.fit import TrainingBatches


def given(views: Tensor, targets: Tensor, seed: int = 1) -> TrainingBatches:
    """V views (V, N, ...) of N images; each epoch draws one of each image."""
    return TrainingBatches(FeatureViews(views, seed), targets, seed=seed)
