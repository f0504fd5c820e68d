"""Image features: every image through the frozen image tower once."""

from coopt.features.encode import (
    ImageFeatures,
    encode_batch,
    encode_dataset,
    encode_views,
    training_augmentation,
)

__all__ = ["ImageFeatures", "encode_batch", "encode_dataset", "encode_views", "training_augmentation"]
