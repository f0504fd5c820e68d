"""What the classes of a data set and of its parts must have, so that a classifier can be learned."""

import numpy as np

from coopt.data.dataset import ImageDataset, Splits
from coopt.data.digests import find_conflicts
from coopt.data.wording import count, some
from coopt.errors import DataError

MOST_SHOWN = 5
"""Pictures, and images of a picture, that a note names."""


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


def label_conflicts(part: ImageDataset, beside: ImageDataset | None = None) -> list[str]:
    """Pictures of a part that have several labels, in it or together with another part of the same classes.

    Pictures are the same by their content; files are read. Each text names one image of every label.
    """
    parts = [part] if beside is None else [part, beside]
    if not len(part) or any(each.labels is None for each in parts):
        return []
    labels = np.concatenate([each.labels for each in parts if each.labels is not None])
    names = [each.name(index) for each in parts for index in range(len(each))]
    found = []
    for same in find_conflicts(np.concatenate([each.digests for each in parts]), labels):
        if min(same) >= len(part):  # of the other part only
            continue
        first = {int(labels[index]): index for index in reversed(same)}
        shown = sorted(first.values())[:MOST_SHOWN]
        text = " and ".join(f"{names[index]!r} ({part.class_names[labels[index]]})" for index in shown)
        left = len(same) - len(shown)
        found.append(f"{text} and {count(left, 'more image', 'more images')} of it" if left else text)
    return found


def conflicts_note(conflicts: list[str], where: str) -> str:
    """`2 pictures are in several classes of the training images: ...`; the first few are named."""
    more = f"; {len(conflicts) - MOST_SHOWN} more" if len(conflicts) > MOST_SHOWN else ""
    pictures = count(len(conflicts), "picture is", "pictures are")
    return f"{pictures} in several classes of {where}: {'; '.join(conflicts[:MOST_SHOWN])}{more}"
