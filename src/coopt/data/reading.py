"""What every reader hands over, `Reading`, and how it becomes `Splits` of `ImageDataset`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from coopt.data.classes import ClassNames, name_classes, order_labels, read_class_names
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.labels import distinct_labels, unite_labels
from coopt.data.sampling import neighbouring, split_groups, split_train_val_test
from coopt.data.unicode import one_form
from coopt.data.wording import count, some
from coopt.errors import DataError, did_you_mean

SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""How sources call their parts, in lower case, and what they are here."""


@dataclass
class Rows:
    """Images as a reader found them: all of a source or one part of it."""

    images: list[Any] = field(default_factory=list)
    labels: list[str] | None = None
    """Label text of each image, or None where the source gives none."""
    names: list[str] = field(default_factory=list)
    groups: list[str] | None = None
    """What images of one object share; None where the source does not say."""
    numbers: list[int] = field(default_factory=list)
    """Row of each image in its table, from 1; empty where there is no table."""

    def add(self, other: "Rows") -> None:
        """Append other images; their labels and groups too, unless one of both has none."""
        self.images += other.images
        self.names += other.names
        self.numbers = []  # of no single table
        self.labels = None if self.labels is None or other.labels is None else self.labels + other.labels
        self.groups = None if self.groups is None or other.groups is None else self.groups + other.groups


@dataclass
class Reading:
    """All that a reader found in a source."""

    where: str
    """What messages call the source."""
    parts: dict[str, Rows]
    """By the source's own split name; the key is "" for a source that is not split."""
    class_labels: list[str] | None = None
    """The classes in order, where the source itself says so (ClassLabel features, folders)."""
    numeric_labels: bool = False
    """Whether labels are whole numbers of a table or an array, which sort by value; folder names sort as text."""
    notes: list[str] = field(default_factory=list)
    ignored_files: int = 0
    label_column: str | None = None
    """Of the table, where the source is one."""


def assemble(
    reading: Reading,
    *,
    split: str | None,
    class_names: ClassNames,
    seed: int,
    fractions: Sequence[float],
    make_split: bool,
    require_labels: bool,
    ordered: bool = False,
) -> Splits:
    """Choose the asked part, number the classes, name them, and split where the source is not split."""
    parts = _choose(reading, split)
    n_ignored = reading.ignored_files
    if not any(rows.images for rows in parts.values()):
        ignored = f" {count(n_ignored, 'file was', 'files were')} ignored (hidden or not an image)." * (n_ignored > 0)
        raise DataError(
            f"No images in {reading.where}.{ignored} Give a folder per class, a table, an archive of either, or a "
            f"Hugging Face data set."
        )
    unlabelled = [name for name, rows in parts.items() if rows.labels is None]
    if unlabelled and (require_labels or len(unlabelled) < len(parts)):
        which = f" in its part(s) {some(unlabelled)}" if any(unlabelled) else ""
        raise DataError(
            f"{reading.where} has images but no labels{which}. Put the images of each class in a folder of its own, or "
            f"give a table (CSV, TSV, JSONL, Parquet) with an image and a label column."
        )
    datasets = _number(reading, parts, class_names)
    # A part that was asked for by name stays whole.
    splittable = make_split and not unlabelled and (split is None or set(datasets) == {""})
    made = _split(datasets, seed, fractions, ordered) if splittable else _as_found(datasets)
    notes = [*reading.notes, *made.shared_groups()]
    if n_ignored:
        notes.append(f"{count(n_ignored, 'file', 'files')} ignored: hidden or not an image")
    if require_labels and make_split and made.train is not None and made.train.labels is not None:
        notes += _check_numbers(made) if ordered else _check_classes(made, reading.where)
    return replace(made, notes=tuple(notes), ignored_files=n_ignored)


def _number(reading: Reading, parts: dict[str, Rows], class_names: ClassNames) -> dict[str, ImageDataset]:
    """Each part with whole numbers for its labels, and the words of the classes."""
    for rows in parts.values():
        rows.labels, notes = unite_labels(rows.labels)
        reading.notes += [note for note in notes if note not in reading.notes]
    class_labels = None if reading.class_labels is None else distinct_labels(reading.class_labels, reading.where)
    if class_labels is None:
        present = {text for rows in parts.values() for text in rows.labels or []}
        class_labels = order_labels(present) if reading.numeric_labels else sorted(present)
    if not class_labels and class_names is not None:  # unlabelled images: the words themselves say which classes
        class_names = read_class_names(class_names) if isinstance(class_names, (str, Path)) else class_names
        class_labels = [str(label).strip() for label in class_names]
    # Names are still checked where only some classes are present: the words belong to the source.
    words = name_classes(class_labels, class_names) if class_labels else []
    number = {label: index for index, label in enumerate(class_labels)}
    return {
        name: ImageDataset(
            images=rows.images,
            labels=None if rows.labels is None else np.array([number[t] for t in rows.labels], dtype=np.int64),
            class_names=words,
            class_labels=class_labels,
            split=name or None,
            names=[one_form(text) for text in rows.names],
            source=reading.where,
            groups=rows.groups,
            rows=np.array(rows.numbers, dtype=np.int64) if rows.numbers else None,
            label_column=reading.label_column,
        )
        for name, rows in parts.items()
    }


def split_dataset(
    dataset: ImageDataset, seed: int = 1, fractions: Sequence[float] = (0.5, 0.2, 0.3), ordered: bool = False
) -> Splits:
    """Cut a labelled data set into train, validation and test, stratified by class and fixed by the seed.

    Where labels are `ordered` and one has a single image, it is stratified by `neighbouring` images.

    Raises:
        DataError: the images are unlabelled, or a class has fewer than two.
    """
    if dataset.labels is None:
        raise DataError("Unlabelled images cannot be split by class.")
    counts = dataset.class_counts()
    short = [dataset.class_names[label] for label in np.flatnonzero(counts < 2)]
    neighbours = (
        neighbouring(dataset.class_labels or [], dataset.labels) if short and ordered and len(dataset) > 1 else None
    )
    if short and neighbours is None:
        raise DataError(
            f"Every class needs 2 images or more, one to train and one to test; fewer have: {some(short)}. "
            f"Add images, leave the classes out, or give the source train/ and test/ parts of its own."
        )
    labels = dataset.labels if neighbours is None else neighbours
    if dataset.groups is not None:
        _refuse_single_groups(dataset, dataset.groups)
        indices = split_groups(labels, dataset.groups, seed, fractions)
    else:
        indices = split_train_val_test(labels, seed, fractions)
    parts = zip(("train", "val", "test"), map(dataset.subset, indices), strict=True)
    train, val, test = (replace(part, split=name) for name, part in parts)
    percent = "/".join(f"{100 * fraction:g}" for fraction in fractions)
    by = "" if neighbours is None else " by neighbouring numbers"
    kept = ", groups kept together" * (dataset.groups is not None)
    return Splits(
        train, val if len(val) else None, test, made_by=f"coopt: stratified{by} {percent} %, seed {seed}{kept}"
    )


def _refuse_single_groups(dataset: ImageDataset, groups: Sequence[str]) -> None:
    assert dataset.labels is not None  # the caller looked
    found: dict[int, set[str]] = {}
    for label, group in zip(dataset.labels.tolist(), groups, strict=True):
        found.setdefault(label, set()).add(group)
    alone = [f"{dataset.class_names[label]} ({min(of)})" for label, of in sorted(found.items()) if len(of) == 1]
    if alone:
        raise DataError(
            f"A group of images stays in one part, and some classes have one group only, so that they cannot be both "
            f"learned and tested: {some(alone)}. Add images of other groups, or give the source parts of its own."
        )


def _choose(reading: Reading, split: str | None) -> dict[str, Rows]:
    """The parts under our names "train", "val", "test", or one part under ""; empty parts are left out."""
    ours = {name: SPLIT_NAMES.get(name.lower(), "") for name in reading.parts}
    if split is not None:
        wanted = SPLIT_NAMES.get(split.lower())
        found = [split] if split in ours else [name for name in ours if ours[name] == wanted]
        if found:
            return {ours[found[0]]: reading.parts[found[0]]}
        known = [name for name in reading.parts if name]
        has = f"it has {some(known)}" if known else "it is not split"
        raise DataError(f"{reading.where} has no split {split!r}; {has}.{did_you_mean(split, known)}")
    if set(reading.parts) == {""}:
        return reading.parts
    chosen: dict[str, Rows] = {}
    for name, rows in reading.parts.items():
        same = [other for other in ours if ours[other] == ours[name]]
        if not ours[name]:
            reading.notes.append(f"split {name!r} is not used ({count(len(rows.images), 'image', 'images')})")
        elif ours[name] in chosen:
            raise DataError(f"{reading.where} has more than one {ours[name]} split: {some(same)}. Keep one of them.")
        elif not rows.images:
            reading.notes.append(f"split {name!r} has no images")
        else:
            chosen[ours[name]] = rows
    if not chosen and len(reading.parts) == 1:
        return {"": next(iter(reading.parts.values()))}
    if not chosen:
        raise DataError(
            f"{reading.where} has no train, val or test split with images, only {some(list(reading.parts))}. "
            f"Name the one to read with split=..."
        )
    return chosen


def _split(datasets: dict[str, ImageDataset], seed: int, fractions: Sequence[float], ordered: bool) -> Splits:
    """Make a test part where the source has none."""
    if set(datasets) == {"train", "val"}:
        made_by = "the source; its validation part is the test set"
        return Splits(datasets["train"], test=datasets["val"], made_by=made_by)
    if set(datasets) not in ({""}, {"train"}):
        return _as_found(datasets)
    (dataset,) = datasets.values()
    _refuse_one_class(dataset)
    made = split_dataset(dataset, seed, fractions, ordered)
    if "train" in datasets:
        made = replace(made, made_by=f"{made.made_by}, of the source's train part, which is its only one")
    return made


def _as_found(datasets: dict[str, ImageDataset]) -> Splits:
    if "" in datasets:
        return Splits(unsplit=datasets[""], made_by="nobody: the images are in no parts")
    return Splits(datasets.get("train"), datasets.get("val"), datasets.get("test"))


def _check_classes(made: Splits, where: str) -> list[str]:
    """Refuse classes without training images; return notes on classes without images in another part."""
    assert made.train is not None  # the caller looked
    _refuse_one_class(made.train)
    notes = []
    untrained = {made.class_names[label] for label in np.flatnonzero(made.train.class_counts() == 0)}
    for name, part in made.parts.items():
        here = [part.class_names[label] for label in np.flatnonzero(part.class_counts())]
        new = [words for words in here if words in untrained]
        if new:
            raise DataError(
                f"The {name} part of {where} has classes that its train part lacks: {some(new)}. "
                f"Give them training images or leave them out."
            )
        absent = [words for words in part.class_names if words not in here]
        if absent and name != "train":
            notes.append(f"the {name} part has no images of: {some(absent)}")
    if untrained:
        raise DataError(f"No training images in {where} for: {some(sorted(untrained))}. Add some or remove the class.")
    return notes


def _check_numbers(made: Splits) -> list[str]:
    """Refuse one label only; return notes on labels that no training image has, which can be answered all the same."""
    assert made.train is not None  # the caller looked
    _refuse_one_class(made.train)
    untrained = made.train.class_counts() == 0
    notes = []
    for name, part in made.parts.items():
        labels = part.class_labels or []
        if new := [labels[place] for place in np.flatnonzero((part.class_counts() > 0) & untrained)]:
            notes.append(f"the {name} part has labels that no training image has: {some(new)}")
    return notes


def _refuse_one_class(dataset: ImageDataset) -> None:
    if len(dataset.class_names) == 1:
        raise DataError(
            f"{dataset.source or 'the data'} has one class only ({some(dataset.class_names)}); a classifier needs two "
            f"or more. Put the images of each class in a folder of its own."
        )
