"""From labels as a source writes them to class names as a prompt says them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coopt.data.label_values import label_text
from coopt.data.wording import some
from coopt.errors import DataError, did_you_mean
from coopt.messages import option

ClassNames = Mapping[Any, str] | Sequence[str] | str | Path | None
"""Words for the classes: a map from label to words, words in class order, a JSON file with either, or None."""


JOINER = re.compile(r"_|-(?!\.?\d)|(?<=[^\W_])-")
"""What joins words in a label. A '-' before a number and not behind a letter or digit is its sign."""


def order_labels(labels: Iterable[str]) -> list[str]:
    """The distinct labels of a column: by number where all are whole numbers, else by text."""
    distinct = set(labels)
    try:
        return sorted(distinct, key=lambda label: (int(label), label))
    except ValueError:
        return sorted(distinct)


def clean_words(label: str) -> str:
    """A label as words: '_' and '-' become spaces, runs of spaces one; camel case and a minus sign are kept.

    Raises:
        DataError: nothing is left.
    """
    words = " ".join(JOINER.sub(" ", label).split())
    if not words:
        raise DataError(f"The label {label!r} has no words left after '_' and '-' became spaces. Rename the class.")
    return words


def name_classes(class_labels: Sequence[str], class_names: ClassNames = None) -> list[str]:
    """The words for each of `class_labels`, from the labels themselves or as the user says.

    Raises:
        DataError: the words do not cover the labels one to one, or two labels get the same words.
    """
    given = read_class_names(class_names) if isinstance(class_names, (str, Path)) else class_names
    origin = f"'{class_names}'" if isinstance(class_names, (str, Path)) else "class_names"
    if given is None:
        words = [clean_words(label) for label in class_labels]
    elif isinstance(given, Mapping):
        words = _from_map(class_labels, given, origin)
    else:
        if len(given) != len(class_labels):
            raise DataError(
                f"{origin} lists {len(given)} names, but the data has {len(class_labels)} classes: "
                f"{some(class_labels)}."
            )
        words = [str(name).strip() for name in given]
    first: dict[str, str] = {}
    for label, name in zip(class_labels, words, strict=True):
        if name in first:
            raise DataError(
                f"The labels {first[name]!r} and {label!r} both become the class name {name!r}. Rename one, or give "
                f"each label its own words with {option('--class-names FILE', 'class_names')}."
            )
        first[name] = label
    return words


def read_class_names(path: str | Path) -> dict[str, str] | list[str]:
    """Read a `--class-names` file: a JSON map from label to words, or a JSON list of words in class order.

    Raises:
        DataError: the file is missing, is not JSON or has another shape.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"The class names file '{path}' does not exist.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"The class names file '{path}' is not readable JSON: {error}.") from error
    words = list(value.values()) if isinstance(value, dict) else value
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return value
    raise DataError(
        f"The class names file '{path}' must hold a JSON map from label to words, such as "
        f'{{"n01440764": "tench"}}, or a list of words in class order.'
    )


def _from_map(class_labels: Sequence[str], given: Mapping[Any, str], origin: str) -> list[str]:
    given = {label_text(label): words for label, words in given.items()}
    # Words for further labels are fine: one map may serve a data set and parts of it.
    missing = [label for label in class_labels if label not in given]
    if missing:
        text = f"{origin} has no words for {len(missing)} of the {len(class_labels)} labels: {some(missing)}."
        unknown = [key for key in given if key not in class_labels]
        if unknown:
            text += f" It names labels that the data lacks: {some(unknown)}.{did_you_mean(unknown[0], missing)}"
        raise DataError(text)
    empty = [label for label in class_labels if not str(given[label]).strip()]
    if empty:
        raise DataError(f"{origin} gives empty words for: {some(empty)}.")
    return [str(given[label]).strip() for label in class_labels]
