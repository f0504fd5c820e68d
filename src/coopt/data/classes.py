"""From labels as a source writes them to class names as a prompt says them."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coopt.data.labels import folder_label, label_text
from coopt.data.text import CONTROL, parse_json, read_text, text_lines, unique_keys
from coopt.data.unicode import one_form
from coopt.data.wording import some
from coopt.errors import DataError, did_you_mean
from coopt.files import readable
from coopt.messages import option

ClassNames = Mapping[Any, Any] | Sequence[str] | str | Path | None
"""Words for the classes: a map from label to words, words in the order in which one counts the labels, a file of
either, or None."""


JOINER = re.compile(r"_|-(?!\.?\d)|(?<=[^\W_])-")
"""What joins words in a label. A '-' before a number and not after a letter or digit is its sign."""


def order_labels(labels: Iterable[str]) -> list[str]:
    """The distinct labels of a column: by number where all are whole numbers, else by text."""
    distinct = set(labels)
    try:
        return sorted(distinct, key=lambda label: (int(label), label))
    except ValueError:
        return sorted(distinct)


def clean_words(label: str) -> str:
    """A label as words: '_' and '-' become spaces, runs of spaces one; camel case and a minus sign are kept.

    Bytes of a folder's name that are text in another encoding are read as that.

    Raises:
        DataError: nothing is left.
    """
    words = " ".join(CONTROL.sub(" ", JOINER.sub(" ", readable(label))).split())
    if not words:
        raise DataError(f"The label {label!r} has no words left after '_' and '-' became spaces. Rename the class.")
    return words


def name_classes(
    class_labels: Sequence[str], class_names: ClassNames = None, *, is_declared: bool = False
) -> list[str]:
    """The words for each of `class_labels`, from the labels themselves or as the user says.

    A list of words goes with the labels in the order in which one counts them, or in their own where the source itself
    declares it.

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
        order = list(class_labels) if is_declared else seen_order(class_labels)
        words = _from_list(class_labels, order, given, origin)
    words = [one_form(name) for name in words]
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
    """Read a `--class-names` file: JSON (a map from label to words, or a list of words), or a text with one per line.

    Raises:
        DataError: the file is missing, is no text, or has another shape.
    """
    what = f"The class names file '{path}'"
    text = read_text(Path(path), what)
    if Path(path).suffix.lower() != ".json" and not text.lstrip().startswith(("{", "[")):
        return [one_form(line) for line in text_lines(text)]
    value = parse_json(text, what, object_pairs_hook=unique_keys(what))
    words = list(value.values()) if isinstance(value, dict) else value
    if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
        return value
    wrong = [word for word in words if not isinstance(word, str)] if isinstance(words, list) else []
    found = f"; it has {some([repr(word) for word in wrong], 3)} where words are needed" if wrong else ""
    raise DataError(
        f"{what} must hold a JSON map from label to words, such as "
        f'{{"n01440764": "tench"}}, or a list of words in class order{found}.'
    )


def seen_order(labels: Iterable[str]) -> list[str]:
    """Labels in the order in which a person counts: 'class2' before 'class10'."""

    def key(label: str) -> list[tuple[int, int, str]]:
        pieces = re.split(r"(\d+)", one_form(label))
        return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece.casefold()) for piece in pieces if piece]

    labels = list(labels)
    try:
        return sorted(labels, key=lambda label: (int(label), label))
    except ValueError:
        return sorted(labels, key=lambda label: (key(label), label))


def list_note(class_labels: Sequence[str], words: Sequence[str], class_names: ClassNames) -> str | None:
    """What to say of a list of names for labels whose order as text is not that in which a person counts."""
    given = read_class_names(class_names) if isinstance(class_names, (str, Path)) else class_names
    order = seen_order(class_labels)
    if given is None or isinstance(given, Mapping) or order == list(class_labels):
        return None
    of = dict(zip(class_labels, words, strict=True))
    pairs = [f"{label!r} is {of[label]!r}" for label in order]
    shown = ", ".join(pairs if len(pairs) <= 4 else [*pairs[:3], "...", pairs[-1]])
    return f"the list of class names was matched in the order in which one counts: {shown}"


def _from_list(class_labels: Sequence[str], order: list[str], given: Sequence[str], origin: str) -> list[str]:
    names = [str(name).strip() for name in given]
    if len(names) != len(order):
        raise DataError(
            f"{origin} lists {len(names)} names, but the data has {len(order)} classes: {some(order)}. Give a map from "
            f"label to words to name further classes."
        )
    if empty := [label for label, name in zip(order, names, strict=True) if not name]:
        raise DataError(f"{origin} gives empty words for: {some(empty)}.")
    # A list in another order than the classes would give each class the words of another.
    plain = {_plain(label): label for label in order}
    meant = {plain[_plain(name)]: name for name in names if _plain(name) in plain}
    if len(meant) == len(order):
        return [meant[label] for label in class_labels]
    wrong = [label for label, name in zip(order, names, strict=True) if plain.get(_plain(name), label) != label]
    if wrong:
        right = {label: meant.get(label, "...") for label in order}
        text = json.dumps(dict(list(right.items())[:10]), ensure_ascii=False)
        raise DataError(
            f"{origin} lists the names in another order than the classes, which are {some(order)}: the class "
            f"{wrong[0]!r} would be called {names[order.index(wrong[0])]!r}. Give a map from label to words: {text}."
        )
    of = dict(zip(order, names, strict=True))
    return [of[label] for label in class_labels]


def _plain(text: str) -> str:
    return " ".join(one_form(text).replace("_", " ").replace("-", " ").split()).casefold()


def _from_map(class_labels: Sequence[str], given: Mapping[Any, Any], origin: str) -> list[str]:
    # Words for further labels are fine: one map may serve a data set and parts of it.
    by_label: dict[str, str] = {}
    for key, words in given.items():
        label = folder_label(str(key) if isinstance(key, str) else label_text(key) or str(key))
        if not isinstance(words, str):
            raise DataError(f"{origin} gives {words!r} for the label {key!r}; words are a text.")
        if by_label.setdefault(label, words) != words:
            raise DataError(f"{origin} gives the label {label!r} both {by_label[label]!r} and {words!r}. Keep one.")
    given = by_label
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
