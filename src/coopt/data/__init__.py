"""Images, labels and class names from every source; few-shot picks; training augmentation; batches."""

from coopt.data.augment import Augmentation, augmentation_rng, normalise
from coopt.data.batches import PixelBatch, PixelBatches, Skipped, find_unreadable, iterate_pixels
from coopt.data.classes import clean_words, name_classes, read_class_names
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.decode import MAX_PIXELS, UnreadableImageError, image_digest
from coopt.data.few_shot import DataWarning, FewShot, few_shot_subset, few_shot_train_val
from coopt.data.load import load_dataset
from coopt.data.reading import split_dataset
from coopt.data.sampling import (
    ClassSubset,
    epoch_batches,
    epoch_order,
    sample_few_shot,
    sample_few_shot_train_val,
    split_classes,
    split_train_val,
    split_train_val_test,
)
from coopt.data.several import join_datasets

__all__ = [
    "MAX_PIXELS",
    "Augmentation",
    "ClassSubset",
    "DataWarning",
    "FewShot",
    "ImageDataset",
    "PixelBatch",
    "PixelBatches",
    "Skipped",
    "Splits",
    "UnreadableImageError",
    "augmentation_rng",
    "clean_words",
    "epoch_batches",
    "epoch_order",
    "few_shot_subset",
    "few_shot_train_val",
    "find_unreadable",
    "image_digest",
    "iterate_pixels",
    "join_datasets",
    "load_dataset",
    "name_classes",
    "normalise",
    "read_class_names",
    "sample_few_shot",
    "sample_few_shot_train_val",
    "split_classes",
    "split_dataset",
    "split_train_val",
    "split_train_val_test",
]
