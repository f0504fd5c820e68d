"""Labels as Python gives them (truth values, numbers, texts): what each is called, and back to what was given.

What one label is, whatever its type, is the rule of `coopt.data.labels`.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64, Shaped
from sklearn.exceptions import DataConversionWarning

from coopt.data.labels import is_missing, label_text
from coopt.data.wording import count
from coopt.errors import DataError

ALLOWED = "a label must be a text that is not empty, a whole number, a finite number, or true or false"


@dataclass(frozen=True)
class LabelValues:
    """The labels of N images, and the C different ones in order: numbers by value, texts by text."""

    codes: Int64[np.ndarray, " N"]
    """Each image's place among the different labels."""
    texts: list[str]
    """The different labels, as data sets call them."""
    values: Shaped[np.ndarray, " C"]
    """The different labels in the type in which they were given."""

    @property
    def names(self) -> list[str]:
        """Each image's label as a text."""
        return [self.texts[code] for code in self.codes]

    def for_classes(self, class_labels: Sequence[str]) -> np.ndarray:
        """Classes in the type in which the labels were given; as texts where one is not among them."""
        place = {text: index for index, text in enumerate(self.texts)}
        if not all(label in place for label in class_labels):
            return np.asarray(class_labels)
        return self.values[[place[label] for label in class_labels]]


def label_values(labels: Any, name: str = "labels") -> LabelValues:
    """Read labels of any kind: a list, an array, a tensor, a column of a data frame, categories.

    Args:
        labels: one for each image.
        name: what messages call them.

    Raises:
        DataError: a label is missing, is no label, or texts and numbers are mixed.
    """
    values = _as_array(labels, name)
    items = values.tolist()
    missing = [index for index, item in enumerate(items) if is_missing(item)]
    if missing:
        raise DataError(
            f"{name}: {count(len(missing), 'label is', 'labels are')} missing of {len(items)}; the first is number "
            f"{missing[0]} (counted from 0), {items[missing[0]]!r}. Leave these images out, or give them labels."
        )
    kinds = {str(_kind(item)) for item in items}
    if "None" in kinds:
        index = next(index for index, item in enumerate(items) if _kind(item) is None)
        raise DataError(f"{name}: label {index} is {items[index]!r}; {ALLOWED}.")
    if len(kinds) > 1:
        examples = " and ".join(repr(next(item for item in items if _kind(item) == kind)) for kind in sorted(kinds))
        raise DataError(
            f"{name}: {' and '.join(sorted(kinds))} are mixed, such as {examples}; give labels of one kind."
        )
    if values.dtype.kind == "O" and kinds and kinds != {"texts"}:
        values = np.asarray(items)
    distinct, codes = np.unique(values, return_inverse=True)
    texts = [label_text(value) or "" for value in distinct]  # none is missing
    # "0" and "0.0" are one label; the first is what predictions give.
    first = {text: place for place, text in reversed(list(enumerate(texts)))}
    kept = sorted(first.values())
    new = np.asarray([kept.index(first[text]) for text in texts], dtype=np.int64)
    return LabelValues(new[codes.reshape(-1)], [texts[place] for place in kept], distinct[kept])


def values_of_type(texts: Sequence[str], dtype: str) -> np.ndarray:
    """The labels that were given in a type, from their texts."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.asarray([text == "True" for text in texts])
    if kind in "iu":
        return np.asarray([int(text) for text in texts], dtype=dtype)
    if kind == "f":
        return np.asarray([np.dtype(dtype).type(text) for text in texts])
    return np.asarray(texts, dtype=object if kind == "O" else None)


def _as_array(labels: Any, name: str) -> np.ndarray:
    if hasattr(labels, "detach"):  # a tensor
        labels = labels.detach().cpu()
    if isinstance(labels, (str, bytes)) or not (hasattr(labels, "__array__") or hasattr(labels, "__iter__")):
        raise DataError(f"{name} is {labels!r}; give one label for each image, such as a list.")
    values = np.asarray(labels) if hasattr(labels, "__array__") else _from_list(list(labels))
    if values.ndim == 2 and values.shape[1] == 1:
        warnings.warn(
            f"{name} is a column of shape {values.shape}; a flat list of labels is expected, such as {name}.ravel().",
            DataConversionWarning,
            stacklevel=4,
        )
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"{name} has shape {values.shape}; one label for each image is needed, shape (N,).")
    return values


def _from_list(items: list[Any]) -> np.ndarray:
    try:
        values = np.asarray(items)
    except ValueError:  # items of different shapes
        values = np.empty(len(items), dtype=object)
        values[:] = items
    # NumPy makes texts of numbers beside texts, and numbers of truth values beside numbers.
    return np.array(items, dtype=object) if values.ndim == 1 and len({_kind(item) for item in items}) > 1 else values


def _kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "texts"
    if isinstance(value, (bool, np.bool_)):
        return "truth values"
    if isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value):
        return "numbers"
    return None
