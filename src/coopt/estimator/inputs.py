"""`X` and `y` as data sets; the labels in the type in which they were given."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coopt.data import ImageDataset, Splits, load_dataset
from coopt.data.frames import frame_table, is_frame
from coopt.data.label_values import LabelValues, label_values
from coopt.data.tables import LABEL_COLUMNS
from coopt.errors import DataError


def training_images(
    X: Any,  # noqa: N803
    y: Any,
    *,
    class_names: Any,
    seed: int,
    require_labels: bool,
) -> tuple[ImageDataset, ImageDataset | None, LabelValues | None]:
    """The images to learn from, the validation images of a source that has its own, and the labels as given.

    Raises:
        DataError: they cannot be read, or `y` does not go with `X`.
    """
    if y is not None:
        values = label_values(y, "y")
        return labelled(X, values, class_names), None, values
    if isinstance(X, ImageDataset):
        return X, None, None
    options = {"class_names": class_names, "seed": seed, "make_split": False, "require_labels": require_labels}
    splits = load_dataset(X, **options)
    # A source without parts of its own comes as one part, and all of it is to learn from.
    train, val = (splits.any, None) if splits.train is None else (splits.train, splits.val)
    return train, val, _values_of(X)


def labelled(X: Any, values: LabelValues, class_names: Any = None) -> ImageDataset:  # noqa: N803
    """The images of `X` with labels.

    Raises:
        DataError: `X` is a place that holds its own labels, or the numbers of images and labels differ.
    """
    if isinstance(X, (str, Path, Splits)):
        what = "a Splits" if isinstance(X, Splits) else f"'{X}'"
        raise DataError(f"y was given beside {what}, whose labels are its own; leave y out, or give a list of images.")
    images, words = (X.images, class_names) if isinstance(X, ImageDataset) else (X, class_names)
    if isinstance(X, ImageDataset) and class_names is None and set(values.texts) <= set(X.class_labels or []):
        words = dict(zip(X.class_labels or [], X.class_names, strict=True))
    found = load_dataset(images, labels=values.values[values.codes], class_names=words, make_split=False).any
    return replace(found, names=X.names, source=X.source, split=X.split) if isinstance(X, ImageDataset) else found


def images_of(X: Any, *, stacked: bool = False, check_files: bool = True) -> ImageDataset:  # noqa: N803
    """The images of `X`, in its order.

    Args:
        X: as `PromptClassifier` takes it.
        stacked: an array (N, H, W) is N grey images, as the one that was learned from; it may be (3, H, W) now.
        check_files: whether an element that is no image, or a file that is not there, is an error.

    Raises:
        DataError: it cannot be read as images.
    """
    if isinstance(X, ImageDataset):
        return X
    if stacked and is_grey_stack(X):
        X = list(X)  # noqa: N806
    return load_dataset(X, require_labels=False, make_split=False, check_files=check_files).whole()


def is_grey_stack(X: Any) -> bool:  # noqa: N803
    """Whether an array is of the kind (N, H, W), which is many grey images or one in colour."""
    return isinstance(X, (np.ndarray, torch.Tensor)) and X.ndim == 3 and X.shape[2] not in (1, 3, 4)


def _values_of(X: Any) -> LabelValues | None:  # noqa: N803
    """The labels of a data frame in their own type, where one of its columns is called so."""
    if not is_frame(X):
        return None
    table = frame_table(X)
    found = [name for name in table.columns if name.lower() in LABEL_COLUMNS and name not in table.class_names]
    return label_values(table.columns[found[0]], found[0]) if len(found) == 1 else None


def class_words(class_labels: list[str], class_names: list[str]) -> Mapping[str, str] | None:
    """The `class_names` parameter that gives these words; None where the labels give them by themselves."""
    pairs = dict(zip(class_labels, class_names, strict=True))
    return pairs if any(label != words for label, words in pairs.items()) else None
