"""Images, labels and class names from every supported source; few-shot picks; training augmentation; batches."""

from coopt.data.classes import clean_words, name_classes, read_class_names
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.decode import UnreadableImageError
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

__all__ = [
    "ClassSubset",
    "ImageDataset",
    "Splits",
    "UnreadableImageError",
    "clean_words",
    "epoch_batches",
    "epoch_order",
    "load_dataset",
    "name_classes",
    "read_class_names",
    "sample_few_shot",
    "sample_few_shot_train_val",
    "split_classes",
    "split_dataset",
    "split_train_val",
    "split_train_val_test",
]
