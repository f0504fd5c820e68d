"""What a label is: one rule for the cells of tables, values in Python and the names of folders.

| as it is given | label |
| --- | --- |
| text | without outer white space, in one Unicode form |
| 3, 3.0, "3.0", NumPy's numbers | "3" |
| 0.5 | "0.5" |
| True, False | "True", "False" |
| None, NaN, NaT, pandas' NA, empty text, a text of `MISSING` | missing |
"""

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

import numpy as np

from coopt.data.unicode import one_form
from coopt.data.wording import some
from coopt.errors import DataError

MISSING = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "<NA>", "N/A", "NA", "NULL", "NaN", "NaT", "None", "n/a", "nan",
     "null"]
)  # fmt: skip
"""Texts that stand for a missing value: what pandas reads so from a table, or writes for one."""
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
"""A whole number, as `str` writes it: "007" is a text."""
WHOLE_WITH_POINT = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
MAX_EXACT = 2**53
"""Above this, a float is no longer known to be a certain whole number."""


def label_text(value: Any) -> str | None:
    """The label that a cell or a value in Python stands for; None where it is missing.

    Raises:
        TypeError: it is a list, an object or another value that can be no label.
    """
    if is_missing(value):
        return None
    if isinstance(value, np.floating) and np.isfinite(value) and not float(value).is_integer():
        return str(value)  # 0.1 of 32 bits is "0.1"; as a Python number it is 0.10000000149011612
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    if isinstance(value, str):
        text = folder_label(value)
        return None if text in MISSING else text
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, (Decimal, Real)) and math.isfinite(number := float(value)):
        return str(int(number)) if number.is_integer() and abs(number) <= MAX_EXACT else str(value)
    raise TypeError(f"{value!r} is no label")


def folder_label(name: str) -> str:
    """The label that a folder's name stands for: it is there, so it is never missing."""
    text = one_form(name).strip()
    if whole := WHOLE_WITH_POINT.fullmatch(text):
        text = whole[1]
    return "0" if text == "-0" else text


def is_missing(value: Any) -> bool:
    """Whether a value stands for none: None, a number that is not one, pandas' NA and NaT, a text of `MISSING`."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # of pandas, which is not imported here
        return True
    if isinstance(value, str):
        return value.strip() in MISSING
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return bool(np.isnat(value))
    return isinstance(value, (float, np.floating, Decimal)) and bool(value != value)


def is_whole(label: str) -> bool:
    """Whether a label is a whole number, and sorts by its value among others."""
    return WHOLE.fullmatch(label) is not None


def distinct_labels(labels: Iterable[str], where: str) -> list[str]:
    """The labels of declared classes, each by the rule above.

    Raises:
        DataError: two of them are one label.
    """
    found: dict[str, str] = {}
    for name in labels:
        label = folder_label(str(name))
        if label in found:
            raise DataError(f"{where} declares the class {label!r} twice, as {found[label]!r} and as {name!r}.")
        found[label] = str(name)
    return list(found)


def unite_labels(labels: Sequence[str] | None) -> tuple[list[str] | None, list[str]]:
    """Labels by the rule above, and a note for each that stands for several spellings of the source."""
    if labels is None:
        return None, []
    spellings: dict[str, set[str]] = {}
    for text in set(labels):
        spellings.setdefault(folder_label(text), set()).add(one_form(text).strip())
    notes = [f"{some(sorted(found))} are one class, {label!r}" for label, found in spellings.items() if len(found) > 1]
    return [folder_label(text) for text in labels], sorted(notes)
