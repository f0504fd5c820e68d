"""How what a reader found becomes `Splits` of `ImageDataset`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from coopt.data.checks import check_classes, check_numbers, refuse_one_class
from coopt.data.classes import ClassNames, list_note, name_classes, order_labels, read_class_names
from coopt.data.dataset import ImageDataset, Splits
from coopt.data.found import Reading, Rows
from coopt.data.grey import bits_note, common_bits
from coopt.data.labels import distinct_labels, folder_label, unite_labels
from coopt.data.parts import SPLIT_NAMES, part_of
from coopt.data.sampling import neighbouring, split_groups, split_train_val_test
from coopt.data.unicode import one_form
from coopt.data.wording import count, some
from coopt.errors import DataError, did_you_mean


def assemble(
    reading: Reading,
    *,
    split: str | None,
    class_names: ClassNames,
    seed: int,
    fractions: Sequence[float],
    make_split: bool,
    require_labels: bool,
    allow_empty: bool = False,
    image_bits: int | None = None,
    ordered: bool = False,
) -> Splits:
    """Choose the asked part, number the classes, name them, and split where the source is not split."""
    parts = _choose(reading, split)
    n_ignored = reading.ignored_files
    if not any(rows.images for rows in parts.values()):
        ignored = f" {count(n_ignored, 'file was', 'files were')} ignored (hidden or not an image)." * (n_ignored > 0)
        left_out = "".join(f" {note[0].upper()}{note[1:]}." for note in reading.notes)
        raise DataError(
            f"No images in {reading.where}.{ignored}{left_out} Give a folder per class, a table, an archive of either, "
            f"or a Hugging Face data set."
        )
    parts = _leave_unlabelled(reading, parts, require_labels)
    unlabelled = [name for name, rows in parts.items() if rows.labels is None]
    if unlabelled and require_labels:
        which = f" in its part(s) {some(unlabelled)}" if any(unlabelled) else ""
        raise DataError(
            f"{reading.where} has images but no labels{which}. Put the images of each class in a folder of its own, or "
            f"give a table (CSV, TSV, JSONL, Parquet) with an image and a label column."
        )
    if image_bits is None:
        image_bits = common_bits([image for rows in parts.values() for image in rows.images])
        if image_bits is not None and image_bits < 16:
            reading.notes.append(bits_note(image_bits))
    datasets = _number(reading, parts, class_names, image_bits)
    # A part that was asked for by name stays whole.
    splittable = make_split and not unlabelled and (split is None or set(datasets) == {""})
    made = _split(datasets, seed, fractions, allow_empty, ordered) if splittable else _as_found(datasets)
    notes = [*reading.notes, *made.shared_groups()]
    if n_ignored:
        notes.append(f"{count(n_ignored, 'file', 'files')} ignored: hidden or not an image")
    if require_labels and make_split and made.train is not None and made.train.labels is not None:
        notes += check_numbers(made) if ordered else check_classes(made, reading.where, allow_empty)
    return replace(made, notes=tuple(notes), ignored_files=n_ignored)


def _leave_unlabelled(reading: Reading, parts: dict[str, Rows], require_labels: bool) -> dict[str, Rows]:
    """Parts with and without labels side by side: the labelled ones to learn from; to predict, all without labels."""
    unlabelled = {name for name, rows in parts.items() if rows.labels is None}
    if not unlabelled or len(unlabelled) == len(parts):
        return parts
    if not require_labels:
        return {name: Rows(rows.images, None, rows.names) for name, rows in parts.items()}
    if "train" in unlabelled:
        return parts
    for name in sorted(unlabelled):
        n = count(len(parts[name].images), "image", "images")
        reading.notes.append(f"the {name} part is not used, since it has no labels: {n} that can be predicted")
    return {name: rows for name, rows in parts.items() if name not in unlabelled}


def _number(
    reading: Reading, parts: dict[str, Rows], class_names: ClassNames, image_bits: int | None
) -> dict[str, ImageDataset]:
    """Each part with whole numbers for its labels, and the words of the classes."""
    for rows in parts.values():
        rows.labels, notes = unite_labels(rows.labels)
        reading.notes += [note for note in notes if note not in reading.notes]
    declared = reading.class_labels is not None and reading.declares_order
    class_labels = None if reading.class_labels is None else distinct_labels(reading.class_labels, reading.where)
    if class_labels is None:
        present = {text for rows in parts.values() for text in rows.labels or []} | set(
            map(folder_label, reading.empty_classes)
        )
        class_labels = order_labels(present) if reading.numeric_labels else sorted(present)
    if not class_labels and class_names is not None:  # unlabelled images: the words themselves say which classes
        class_names = read_class_names(class_names) if isinstance(class_names, (str, Path)) else class_names
        class_labels, declared = [one_form(str(label).strip()) for label in class_names], True
    # Names are still checked where only some classes are present: the words belong to the source.
    words = name_classes(class_labels, class_names, is_declared=declared) if class_labels else []
    if not declared and (note := list_note(class_labels, words, class_names)):
        reading.notes.append(note)
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
            image_bits=image_bits,
            groups=rows.groups,
            rows=np.array(rows.numbers, dtype=np.int64) if rows.numbers else None,
            label_column=reading.label_column,
        )
        for name, rows in parts.items()
    }


def split_dataset(
    dataset: ImageDataset,
    seed: int = 1,
    fractions: Sequence[float] = (0.5, 0.2, 0.3),
    allow_empty: bool = False,
    ordered: bool = False,
) -> Splits:
    """Cut a labelled data set into train, validation and test, stratified by class and fixed by the seed.

    A class with one image gives it to the training part; where every class has one there is no test part. With
    `allow_empty` a class may have no images. Where labels are `ordered` and one has a single image, it is stratified by
    `neighbouring` images.

    Raises:
        DataError: the images are unlabelled.
    """
    if dataset.labels is None:
        raise DataError("Unlabelled images cannot be split by class.")
    counts = dataset.class_counts()
    empty = [dataset.class_names[label] for label in np.flatnonzero(counts == 0)]
    if empty and not (allow_empty or ordered):
        raise DataError(f"Every class needs an image; there is none of {some(empty)}. Add images, or leave them out.")
    is_short = ordered and len(dataset) > 1 and bool((counts < 2).any())
    neighbours = neighbouring(dataset.class_labels or [], dataset.labels) if is_short else None
    labels = dataset.labels if neighbours is None else neighbours
    if dataset.groups is not None:
        _refuse_single_groups(dataset, dataset.groups)
        indices = split_groups(labels, dataset.groups, seed, fractions)
    else:
        indices = split_train_val_test(labels, seed, fractions)
    parts = zip(("train", "val", "test"), map(dataset.subset, indices), strict=True)
    train, val, test = (replace(part, split=name) for name, part in parts)
    if not len(test):
        return Splits(train, made_by="nobody: no class has 2 images, one to train and one to test")
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
    single = [f"{dataset.class_names[label]} ({min(of)})" for label, of in sorted(found.items()) if len(of) == 1]
    if single:
        raise DataError(
            f"A group of images stays in one part, and some classes have one group only, so that they cannot be both "
            f"learned and tested: {some(single)}. Add images of other groups, or give the source parts of its own."
        )


def _choose(reading: Reading, split: str | None) -> dict[str, Rows]:
    """The parts under our names "train", "val", "test", or one part under ""; empty parts are left out."""
    ours = {name: part_of(name) or "" for name in reading.parts}
    exact = {SPLIT_NAMES[name.lower()] for name in ours if name.lower() in SPLIT_NAMES}
    # `train` beside `train_extra`: the plain name is meant.
    ours = {name: "" if part in exact and name.lower() not in SPLIT_NAMES else part for name, part in ours.items()}
    if split is not None:
        wanted = part_of(split)
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
            raise DataError(
                f"{reading.where} has more than one {ours[name]} split: {some(same)}. Keep one of them, or "
                f"name the one to read with split=..."
            )
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


def _split(
    datasets: dict[str, ImageDataset], seed: int, fractions: Sequence[float], allow_empty: bool, ordered: bool
) -> Splits:
    """Make a test part where the source has none."""
    if set(datasets) == {"train", "val"}:
        made_by = "the source; its validation part is the test set"
        return Splits(datasets["train"], test=datasets["val"], made_by=made_by)
    if set(datasets) not in ({""}, {"train"}):
        return _as_found(datasets)
    (dataset,) = datasets.values()
    refuse_one_class(dataset)
    made = split_dataset(dataset, seed, fractions, allow_empty, ordered)
    if "train" in datasets:
        made = replace(made, made_by=f"{made.made_by}, of the source's train part, which is its only one")
    return made


def _as_found(datasets: dict[str, ImageDataset]) -> Splits:
    if "" in datasets:
        return Splits(unsplit=datasets[""], made_by="nobody: the images are in no parts")
    return Splits(datasets.get("train"), datasets.get("val"), datasets.get("test"))
