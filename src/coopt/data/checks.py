"""What the classes of a data set and of its parts must have, so that a classifier can be learned."""

import numpy as np

from coopt.data.dataset import ImageDataset, Splits
from coopt.data.wording import some
from coopt.errors import DataError


def check_classes(made: Splits, where: str, allow_empty: bool) -> list[str]:
    """Refuse classes without training images; return notes on classes without images in another part.

    Raises:
        DataError: a class has no training images and that is not allowed, or there is one class only.
    """
    assert made.train is not None  # the caller looked
    refuse_one_class(made.train)
    notes = []
    untrained = {made.class_names[label] for label in np.flatnonzero(made.train.class_counts() == 0)}
    for name, part in made.parts.items():
        here = [part.class_names[label] for label in np.flatnonzero(part.class_counts())]
        new = [words for words in here if words in untrained]
        if new and not allow_empty:
            raise DataError(
                f"The {name} part of {where} has classes that its train part lacks: {some(new)}. "
                f"Give them training images or leave them out."
            )
        absent = [words for words in part.class_names if words not in here]
        if absent and name != "train":
            notes.append(f"the {name} part has no images of: {some(absent)}")
    if untrained and not allow_empty:
        raise DataError(f"No training images in {where} for: {some(sorted(untrained))}. Add some or remove the class.")
    return notes


def check_numbers(made: Splits) -> list[str]:
    """Refuse one label only; return notes on labels that no training image has, which can be answered all the same."""
    assert made.train is not None  # the caller looked
    refuse_one_class(made.train)
    untrained = made.train.class_counts() == 0
    notes = []
    for name, part in made.parts.items():
        labels = part.class_labels or []
        if new := [labels[place] for place in np.flatnonzero((part.class_counts() > 0) & untrained)]:
            notes.append(f"the {name} part has labels that no training image has: {some(new)}")
    return notes


def refuse_one_class(dataset: ImageDataset) -> None:
    """Refuse a data set of one class.

    Raises:
        DataError: see above.
    """
    if len(dataset.class_names) == 1:
        raise DataError(
            f"{dataset.source or 'the data'} has one class only ({some(dataset.class_names)}); a classifier needs two "
            f"or more. Put the images of each class in a folder of its own."
        )
