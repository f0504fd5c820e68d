"""What each training image counts: weights that are given, and weights of classes."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from coopt.data import DataWarning, ImageDataset
from coopt.data.labels import label_text
from coopt.data.wording import some
from coopt.errors import ConfigError, did_you_mean
from coopt.messages import tell
from coopt.methods import METHODS, Method

ClassWeight = Any
"""``"balanced"``: all classes count alike in sum; a map from label to number, 1 for labels that it lacks; None."""


def check_weighted(key: str, kind: type[Method], weight: Any, class_weight: ClassWeight, name: str = "weight") -> None:
    """Refuse weights where the method cannot use them.

    Raises:
        ConfigError: naming the method, and those that can.
    """
    given = [text for text, value in ((name, weight), ("class_weight", class_weight)) if value is not None]
    if given and not takes_weights(kind):
        able = ", ".join(name for name, method in METHODS.items() if takes_weights(method))
        raise ConfigError(
            f"The method {key!r} cannot use {' or '.join(given)}: it has no loss that weights could change. "
            f"Leave it out, or take one of: {able}."
        )


def takes_weights(kind: type[Method]) -> bool:
    """Whether weights of images change what a method learns."""
    return kind.uses_shots and kind.uses_weights


def read_weight(weight: Any, n: int, name: str = "weight") -> np.ndarray:
    """One finite number from 0 on for each of `n` images.

    Raises:
        ConfigError: another shape, a number out of range, or zero for all.
    """
    try:
        values = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} must hold a number for each of the {n} images: {error}.") from error
    if values.ndim == 0:
        values = np.full(n, float(values))
    if values.shape != (n,):
        found = f"{len(values)} numbers" if values.ndim == 1 else f"shape {values.shape}"
        raise ConfigError(f"{name} has {found}; one number is needed for each of the {n} images.")
    if not (np.isfinite(values).all() and (values >= 0).all()):
        raise ConfigError(
            f"{name} has numbers from {values.min():g} to {values.max():g}; allowed are finite numbers from 0 on."
        )
    if not (values > 0).any():
        raise ConfigError(f"{name} is zero for all {n} images; give some of them a weight above 0.")
    return values


def without_zeros(train: ImageDataset, weight: np.ndarray) -> tuple[ImageDataset, np.ndarray]:
    """The images that count: weight 0 leaves an image out. A class that has no others keeps its images, with a note."""
    if (weight > 0).all() or train.labels is None:
        return train, weight
    counts = np.bincount(train.labels, weights=weight > 0, minlength=len(train.class_names))
    lost = (train.class_counts() > 0) & (counts == 0)
    if lost.any():
        classes = [train.class_names[c] for c in np.flatnonzero(lost)]
        tell(f"Each image of {some(classes)} has weight 0: nothing is learned from them.", DataWarning)
    kept = np.flatnonzero((weight > 0) | lost[train.labels])
    return train.subset(kept), weight[kept]


def shot_weights(drawn: ImageDataset, weight: np.ndarray | None, class_weight: ClassWeight) -> np.ndarray | None:
    """What each drawn image counts; None where all count alike because nothing was asked for.

    Raises:
        ConfigError: `class_weight` cannot be used.
    """
    if weight is None and class_weight is None:
        return None
    values = np.ones(len(drawn)) if weight is None else weight
    if class_weight is not None:
        assert drawn.labels is not None  # shots are labelled
        assert drawn.class_labels is not None  # set in ImageDataset.__post_init__
        values = values * class_factors(class_weight, drawn.labels, drawn.class_labels, values)[drawn.labels]
    return values


def class_factors(
    class_weight: ClassWeight, labels: np.ndarray, class_labels: list[str], weight: np.ndarray
) -> np.ndarray:
    """What each class's images count.

    Raises:
        ConfigError: neither "balanced" nor a map, a label that is no class, or a number that is not above 0.
    """
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(labels, weights=weight, minlength=len(class_labels))
        return totals.sum() / (len(class_labels) * np.where(totals > 0, totals, 1.0))
    if not isinstance(class_weight, Mapping):
        raise ConfigError(
            f"class_weight is {class_weight!r}; allowed is 'balanced', or a map from labels to numbers such as "
            f"{{{class_labels[0]!r}: 2.0}}."
        )
    given = {label_text(label) or str(label): value for label, value in class_weight.items()}
    unknown = [label for label in given if label not in class_labels]
    if unknown:
        raise ConfigError(
            f"class_weight names {some(unknown)}, which is no label; the labels are {some(class_labels)}."
            f"{did_you_mean(unknown[0], class_labels)}"
        )
    for label, value in given.items():
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not is_number or not 0 < float(value) < math.inf:
            raise ConfigError(f"class_weight of {label!r} is {value!r}; allowed is a number above 0.")
    return np.array([float(given.get(label, 1.0)) for label in class_labels])
