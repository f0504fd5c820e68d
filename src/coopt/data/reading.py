"""What every reader hands over, `Reading`, and how it becomes `Splits` of `ImageDataset`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coopt.data.classes import ClassNames, name_classes, order_labels, read_class_names
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.sampling import split_train_val_test
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


@dataclass
class Reading:
    """All that a reader found in a source."""

    where: str
    """The source in words."""
    parts: dict[str, Rows]
    """By the source's own split name; the key is "" for a source that is not split."""
    class_labels: list[str] | None = None
    """The classes in order, where the source itself says so (ClassLabel features, folders)."""
    numeric_labels: bool = False
    """Whether labels are whole numbers of a table or an array, which sort by value; folder names sort as text."""
    notes: list[str] = field(default_factory=list)
    ignored_files: int = 0


def assemble(
    reading: Reading,
    *,
    split: str | None,
    class_names: ClassNames,
    seed: int,
    fractions: Sequence[float],
    make_split: bool,
    require_labels: bool,
) -> Splits:
    """Choose the asked part, number the classes, name them, and split where the source is not split.

    Raises:
        DataError: no images, no labels where they are required, classes that do not fit together.
    """
    parts = _choose(reading, split)
    if not any(rows.images for rows in parts.values()):
        raise DataError(f"No images in {reading.where}.{_ignored_text(reading)}")
    unlabelled = [name for name, rows in parts.items() if rows.labels is None]
    if unlabelled and (require_labels or len(unlabelled) < len(parts)):
        raise DataError(_no_labels_text(reading, unlabelled))
    class_labels = _class_labels(reading, parts)
    if not class_labels and class_names is not None:  # unlabelled images: the words themselves say which classes
        class_names = read_class_names(class_names) if isinstance(class_names, (str, Path)) else class_names
        class_labels = [str(label).strip() for label in class_names]
    # Names are still checked where only some classes are present: the words belong to the source.
    words = name_classes(class_labels, class_names) if class_labels else []
    number = {label: index for index, label in enumerate(class_labels)}
    datasets = {
        name: ImageDataset(
            images=rows.images,
            labels=None if rows.labels is None else np.array([number[t] for t in rows.labels], dtype=np.int64),
            class_names=words,
            class_labels=class_labels,
            split=name or None,
            names=rows.names,
            source=reading.where,
        )
        for name, rows in parts.items()
    }
    notes = list(reading.notes)
    if reading.ignored_files:
        notes.append(f"{count(reading.ignored_files, 'file', 'files')} ignored: hidden or not an image")
    # A part that was asked for by name stays whole.
    splittable = make_split and not unlabelled and (split is None or set(datasets) == {""})
    made = _place(datasets, seed=seed, fractions=fractions, make_split=splittable)
    _check_classes(made, reading.where, notes, training=require_labels and make_split)
    return Splits(
        **{name: part for name, part in made.items() if name != "made_by"},
        made_by=made["made_by"],
        notes=tuple(notes),
        ignored_files=reading.ignored_files,
    )


def split_dataset(dataset: ImageDataset, seed: int = 1, fractions: Sequence[float] = (0.5, 0.2, 0.3)) -> Splits:
    """Cut a labelled data set into train, validation and test, stratified by class and fixed by the seed.

    Raises:
        DataError: the images are unlabelled, or a class has fewer than two.
    """
    if dataset.labels is None:
        raise DataError("Unlabelled images cannot be split by class.")
    counts = dataset.class_counts()
    short = [dataset.class_names[label] for label in np.flatnonzero(counts < 2)]
    if short:
        raise DataError(
            f"Every class needs 2 images or more, one to train and one to test; fewer have: {some(short)}. "
            f"Add images, leave the classes out, or give the source train/ and test/ parts of its own."
        )
    indices = split_train_val_test(dataset.labels, seed, fractions)
    train, val, test = (
        ImageDataset(
            images=part.images, labels=part.labels, class_names=part.class_names, class_labels=part.class_labels,
            split=name, names=part.names, source=part.source,
        )
        for name, part in zip(("train", "val", "test"), map(dataset.subset, indices), strict=True)
    )  # fmt: skip
    percent = "/".join(f"{100 * fraction:g}" for fraction in fractions)
    return Splits(train, val if len(val) else None, test, made_by=f"coopt: stratified {percent} %, seed {seed}")


def _choose(reading: Reading, split: str | None) -> dict[str, Rows]:
    """The parts under our names "train", "val", "test", or one part under ""; empty parts are left out."""
    if split is not None:
        if split in reading.parts:
            return {SPLIT_NAMES.get(split.lower(), ""): reading.parts[split]}
        wanted = SPLIT_NAMES.get(split.lower())
        found = [name for name in reading.parts if wanted and SPLIT_NAMES.get(name.lower()) == wanted]
        if found:
            return {str(wanted): reading.parts[found[0]]}
        known = [name for name in reading.parts if name]
        has = f"it has {some(known)}" if known else "it is not split"
        raise DataError(f"{reading.where} has no split {split!r}; {has}.{did_you_mean(split, known)}")
    if set(reading.parts) == {""}:
        return reading.parts
    chosen: dict[str, Rows] = {}
    for name, rows in reading.parts.items():
        ours = SPLIT_NAMES.get(name.lower())
        if ours is None:
            reading.notes.append(f"split {name!r} is not used ({count(len(rows.images), 'image', 'images')})")
        elif ours in chosen:
            same = [other for other in reading.parts if SPLIT_NAMES.get(other.lower()) == ours]
            raise DataError(f"{reading.where} has more than one {ours} split: {some(same)}. Keep one of them.")
        elif not rows.images:
            reading.notes.append(f"split {name!r} has no images")
        else:
            chosen[ours] = rows
    if not chosen and len(reading.parts) == 1:
        return {"": next(iter(reading.parts.values()))}
    if not chosen:
        raise DataError(
            f"{reading.where} has no train, val or test split with images, only {some(list(reading.parts))}. "
            f"Name the one to read with split=..."
        )
    return chosen


def _class_labels(reading: Reading, parts: dict[str, Rows]) -> list[str]:
    present = {text for rows in parts.values() for text in rows.labels or []}
    if reading.class_labels is not None:
        return reading.class_labels
    return order_labels(present) if reading.numeric_labels else sorted(present)


def _place(
    datasets: dict[str, ImageDataset], *, seed: int, fractions: Sequence[float], make_split: bool
) -> dict[str, Any]:
    if set(datasets) == {""}:
        if not make_split:
            return {"test": datasets[""], "made_by": "nobody: all images are in the test part"}
        return _split_parts(datasets[""], seed, fractions)
    if set(datasets) == {"train"} and make_split:
        made = _split_parts(datasets["train"], seed, fractions)
        return {**made, "made_by": f"{made['made_by']}, of the source's train part, which is its only one"}
    if set(datasets) == {"train", "val"} and make_split:
        test = datasets["val"]
        return {
            "train": datasets["train"],
            "test": test,
            "made_by": "the source; its validation part is the test set",
        }
    return {**datasets, "made_by": "the source"}


def _split_parts(dataset: ImageDataset, seed: int, fractions: Sequence[float]) -> dict[str, Any]:
    if len(dataset.class_names) == 1:
        raise DataError(_one_class_text(dataset, dataset.source or "the data"))
    made = split_dataset(dataset, seed, fractions)
    return {**made.parts, "made_by": made.made_by}


def _check_classes(made: dict[str, Any], where: str, notes: list[str], training: bool) -> None:
    train: ImageDataset | None = made.get("train")
    if train is None or train.labels is None or not training:
        return
    counts = train.class_counts()
    if len(counts) == 1:
        raise DataError(_one_class_text(train, where))
    untrained = {train.class_names[label] for label in np.flatnonzero(counts == 0)}
    for name in ("val", "test"):
        part: ImageDataset | None = made.get(name)
        if part is None:
            continue
        here = [part.class_names[label] for label in np.flatnonzero(part.class_counts())]
        new = [words for words in here if words in untrained]
        if new:
            raise DataError(
                f"The {name} part of {where} has classes that its train part lacks: {some(new)}. "
                f"Give them training images or leave them out."
            )
        absent = [words for words in part.class_names if words not in here]
        if absent:
            notes.append(f"the {name} part has no images of: {some(absent)}")
    if untrained:
        raise DataError(f"No training images in {where} for: {some(sorted(untrained))}. Add some or remove the class.")


def _one_class_text(dataset: ImageDataset, where: str) -> str:
    return (
        f"{where} has one class only ({some(dataset.class_names)}); a classifier needs two or more. "
        f"Put the images of each class in a folder of its own."
    )


def _no_labels_text(reading: Reading, unlabelled: list[str]) -> str:
    which = f" in its part(s) {some(unlabelled)}" if any(unlabelled) else ""
    return (
        f"{reading.where} has images but no labels{which}. Put the images of each class in a folder "
        f"of its own, or give "
        f"a table (CSV, TSV, JSONL, Parquet) with an image and a label column."
    )


def _ignored_text(reading: Reading) -> str:
    text = ""
    if reading.ignored_files:
        text += f" {count(reading.ignored_files, 'file was', 'files were')} ignored (hidden or not an image)."
    return text + " Give a folder per class, a table, an archive of either, or a Hugging Face data set."
