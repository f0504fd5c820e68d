"""Image features: every image through the frozen image tower once, then from the cache."""

from coopt.features.cache import CacheWarning, FeatureCache
from coopt.features.encode import (
    ImageFeatures,
    encode_batch,
    encode_dataset,
    encode_views,
    training_augmentation,
)

__all__ = [
    "CacheWarning",
    "FeatureCache",
    "ImageFeatures",
    "encode_batch",
    "encode_dataset",
    "encode_views",
    "training_augmentation",
]
