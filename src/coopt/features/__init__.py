"""Image features: every image through the frozen image tower once, then from the cache; batches of what was asked."""

from coopt.features.cache import CacheWarning, FeatureCache
from coopt.features.encode import (
    ImageFeatures,
    encode_batch,
    encode_dataset,
    encode_views,
    training_augmentation,
)
from coopt.features.inputs import PLAIN, Inputs
from coopt.features.picks import EncodedPicks
from coopt.features.testing import TestImages
from coopt.features.training import FeatureViews, TrainingImages

__all__ = [
    "PLAIN",
    "CacheWarning",
    "EncodedPicks",
    "FeatureCache",
    "FeatureViews",
    "ImageFeatures",
    "Inputs",
    "TestImages",
    "TrainingImages",
    "encode_batch",
    "encode_dataset",
    "encode_views",
    "training_augmentation",
]
