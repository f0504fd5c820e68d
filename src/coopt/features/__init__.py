"""Image features: every image through the frozen image tower once, then from the cache."""

from coopt.features.cache import CacheWarning, FeatureCache
from coopt.features.encode import (
    ImageFeatures,
    encode_batch,
    encode_dataset,
    encode_views,
    training_augmentation,
)
from coopt.features.inputs import PLAIN, Inputs

__all__ = [
    "PLAIN",
    "CacheWarning",
    "FeatureCache",
    "ImageFeatures",
    "Inputs",
    "encode_batch",
    "encode_dataset",
    "encode_views",
    "training_augmentation",
]
