"""The split files that the field shares (`split_zhou_*.json`), and the authors' rule where one is missing."""

import json
import posixpath
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from coopt.data.sampling import split_train_val, split_train_val_test
from coopt.data.wording import count
from coopt.datasets.facts import BenchmarkFacts, Item, Listing
from coopt.errors import ConfigError, DataError
from coopt.files import write_json

SPLIT_SEED = 1
"""The authors split with the seed of the run that first reads the data; 1 is the first of theirs."""
PARTS = ("train", "val", "test")


def read_split_file(folder: Path, facts: BenchmarkFacts) -> Listing | None:
    """The listing of the shared split file, or None where there is none."""
    if facts.split_file is None or not (folder / facts.split_file).is_file():
        return None
    path = folder / facts.split_file
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"The split file '{path}' is not readable JSON: {error}. Fetch it again.") from error
    if not isinstance(content, dict) or not set(PARTS) <= set(content):
        raise DataError(f"The split file '{path}' must hold a map with 'train', 'val' and 'test'. Fetch it again.")
    parts = {part: [_item(row, path, facts) for row in content[part]] for part in PARTS}
    return Listing(parts, f"the split file {facts.split_file}")


def _item(row: Any, path: Path, facts: BenchmarkFacts) -> Item:
    try:
        image, label, name = row
        item = Item(str(image).replace("\\", "/"), int(label), str(name))
    except (TypeError, ValueError) as error:
        raise DataError(f"The split file '{path}' has the row {row!r}; a row is [path, label, class name].") from error
    if PurePosixPath(item.path).is_absolute() or ".." in PurePosixPath(item.path).parts:
        raise DataError(f"The split file '{path}' names an image outside its folder: '{item.path}'. It is not read.")
    return item._replace(path=posixpath.join(facts.images, item.path))


def write_split_file(listing: Listing, facts: BenchmarkFacts, path: Path) -> None:
    """Write a listing as the field shares it, so that other code reads the same split.

    Raises:
        ConfigError: the data set is not split by such a file.
    """
    if facts.split_file is None:
        raise ConfigError(f"{facts.title} has no split file: its own lists or folders are the split.")
    prefix = f"{facts.images}/" if facts.images else ""
    rows = {
        part: [[item.path.removeprefix(prefix), item.label, item.class_name] for item in listing.parts[part]]
        for part in PARTS
    }
    write_json(path, rows)


def three_way(items: Sequence[Item]) -> Listing:
    """Cut images, listed class by class, 50/20/30 by the authors' rule."""
    labels = [item.label for item in items]
    indices = split_train_val_test(labels, SPLIT_SEED)
    parts = {part: [items[i] for i in chosen.tolist()] for part, chosen in zip(PARTS, indices, strict=True)}
    return Listing(parts, f"coopt by the authors' rule: 50/20/30 % per class, seed {SPLIT_SEED}")


def held_out_val(trainval: Sequence[Item], test: Sequence[Item], facts: BenchmarkFacts) -> Listing:
    """Cut a fifth of each class of an official training part off for validation, by the authors' rule."""
    try:
        train, val = split_train_val([item.label for item in trainval], SPLIT_SEED)
    except ConfigError as error:
        raise DataError(
            f"The training list of {facts.title} has {count(len(trainval), 'image', 'images')}, too few of some "
            f"class to hold out a fifth: {error}"
        ) from error
    parts: dict[str, Sequence[Item]] = {
        "train": [trainval[i] for i in train.tolist()],
        "val": [trainval[i] for i in val.tolist()],
        "test": test,
    }
    return Listing(parts, f"the official lists; a fifth of train is val by the authors' rule, seed {SPLIT_SEED}")
