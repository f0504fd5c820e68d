"""Images, labels and class names from every source; few-shot picks; training augmentation; batches."""

from coopt.data.augment import Augmentation, augmentation_rng, normalise
from coopt.data.batches import Skipped, find_unreadable, iterate_pixels
from coopt.data.classes import read_class_names
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.decode import UnreadableImageError, image_digest
from coopt.data.few_shot import DataWarning, FewShot, few_shot_subset, few_shot_train_val
from coopt.data.load import load_dataset
from coopt.data.reading import split_dataset
from coopt.data.sampling import (
    epoch_batches,
    epoch_order,
    sample_few_shot,
    sample_few_shot_train_val,
    split_classes,
)
from coopt.data.several import join_datasets

__all__ = [
    "Augmentation",
    "DataWarning",
    "FewShot",
    "ImageDataset",
    "Skipped",
    "Splits",
    "UnreadableImageError",
    "augmentation_rng",
    "epoch_batches",
    "epoch_order",
    "few_shot_subset",
    "few_shot_train_val",
    "find_unreadable",
    "image_digest",
    "iterate_pixels",
    "join_datasets",
    "load_dataset",
    "normalise",
    "read_class_names",
    "sample_few_shot",
    "sample_few_shot_train_val",
    "split_classes",
    "split_dataset",
]
