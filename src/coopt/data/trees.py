"""Reading a whole tree of files, in a folder or an archive: class folders, or tables and the images they name."""

import posixpath
import re
from pathlib import Path
from typing import Any

from coopt.data.archives import FileTree
from coopt.data.cells import Find
from coopt.data.columns import feature_class_names
from coopt.data.layout import folders_with_images, has_class_folders, read_class_folders
from coopt.data.reading import SPLIT_NAMES, Reading, Rows
from coopt.data.saved import is_saved, read_saved
from coopt.data.tables import Table, disk_finder, is_table_name, parse_table, read_table
from coopt.data.tree import FolderTree
from coopt.data.unicode import one_form
from coopt.data.wording import some
from coopt.errors import DataError

SPLIT_TOKEN = re.compile(
    rf"(?:^|(?<=[-_./]))({'|'.join(sorted(SPLIT_NAMES, key=len, reverse=True))})(?=[-_./]|$)", re.IGNORECASE
)
"""A split name as a word of a path: `data/train-00000-of-00002.parquet`, `labels_test.csv`, `val/metadata.csv`."""


def read_tree(tree: FileTree, **options: Any) -> Reading:
    """Read the images and labels of a tree of files.

    Class folders are preferred to a table next to them; the table is read where there is at most one folder of images,
    or where a column is named. The options are those of `read_table`.
    """
    if isinstance(tree, FolderTree) and is_saved(tree):
        return read_saved(tree, **options)
    tables = [path for path in tree.paths if is_table_name(path)]
    names_columns = any(value is not None for name, value in options.items() if name != "require_labels")
    if not tables or (not names_columns and _has_classes(tree, tables)):
        reading = read_class_folders(tree, options["require_labels"])
        if tables:
            reading.notes.append(f"not read beside the class folders: {some(tables)}; give a table's path to read it")
        return reading
    declared = _card_class_names(tree)
    image_root, columns = options["image_root"], {name: options[name] for name in options if name != "image_root"}
    readings = [
        (split, read_table(_parse(tree, path, declared), _finder(tree, path, image_root), **columns))
        for split, paths in _group_tables(tree, tables).items()
        for path in paths
    ]
    return _merge(tree, readings)


def _finder(tree: FileTree, table: str, image_root: str | Path | None) -> Find:
    folder = posixpath.dirname(table)
    if isinstance(tree, FolderTree):  # a table on disk may name any file of its owner
        return disk_finder(tree.root / folder, image_root)
    # In an archive only its own members count; a root is one of its folders, seen from the table or from its top.
    known = {one_form(path): path for path in tree.paths}
    roots = [folder] if image_root is None else [posixpath.join(folder, str(image_root)), str(image_root)]

    def find(path: str) -> Any:
        candidates = [one_form(posixpath.normpath(posixpath.join(root, path))) for root in roots]
        return next((tree.source(known[candidate]) for candidate in candidates if candidate in known), None)

    return find


def _has_classes(tree: FileTree, tables: list[str]) -> bool:
    if any(posixpath.basename(table).rsplit(".", 1)[0] == "metadata" for table in tables):
        return False
    folders = folders_with_images(tree)
    splits = [name for name in folders if name.lower() in SPLIT_NAMES]
    if splits and len(splits) == len(folders):
        return any(has_class_folders(tree, name) for name in splits)
    return len(folders) >= 2


def _group_tables(tree: FileTree, tables: list[str]) -> dict[str, list[str]]:
    """The tables of each split ("" where the path names none); shards of one split stand together."""
    groups: dict[tuple[str, str], list[str]] = {}
    for path in tables:
        words = SPLIT_TOKEN.findall(path)
        rest = posixpath.dirname(SPLIT_TOKEN.sub("", path)).strip("/")
        groups.setdefault((rest, words[-1].lower() if words else ""), []).append(path)
    folders = sorted({folder for folder, _ in groups})
    if len(folders) > 1:
        raise DataError(
            f"{tree.where} holds several data sets, in {some(folders)}. Give the folder of the one to read."
        )
    by_split = {split: paths for (_, split), paths in groups.items()}
    loose = by_split.get("", [])
    if loose and (len(by_split) > 1 or len(loose) > 1) and not all("-of-" in path for path in loose):
        raise DataError(f"{tree.where} holds several tables: {some(tables)}. Give the path of the one to read.")
    return by_split


def _parse(tree: FileTree, path: str, declared: dict[str, list[str]]) -> Table:
    # On disk a Parquet file is opened in place, so that its images stay there until they are asked for.
    source = tree.root / path if isinstance(tree, FolderTree) else tree.read(path)
    table = parse_table(source, path, f"{tree.where}/{path}")
    for column, names in declared.items():
        if column in table.columns and all(isinstance(cell, int) for cell in table.columns[column]):
            table.class_names.setdefault(column, names)
    return table


def _card_class_names(tree: FileTree) -> dict[str, list[str]]:
    """The class names that a Hugging Face data set card declares in its YAML header."""
    if "README.md" not in tree.paths:
        return {}
    from huggingface_hub import RepoCard

    try:
        text = tree.read("README.md").decode("utf-8")
        info = RepoCard(text, ignore_metadata_errors=True).data.to_dict().get("dataset_info", {})
    except Exception:  # a README that is no card says nothing about classes
        return {}
    found: dict[str, list[str]] = {}
    for entry in info if isinstance(info, list) else [info]:
        found.update(feature_class_names(entry.get("features", [])))
    return found


def _merge(tree: FileTree, readings: list[tuple[str, Reading]]) -> Reading:
    merged = Reading(tree.where, {})
    merged.numeric_labels = all(reading.numeric_labels for _, reading in readings)
    for split, reading in readings:
        merged.notes += reading.notes
        if reading.class_labels is not None:
            if merged.class_labels not in (None, reading.class_labels):
                raise DataError(f"The tables of {tree.where} declare different class names.")
            merged.class_labels = reading.class_labels
        for part, rows in reading.parts.items():
            empty = Rows(labels=None if rows.labels is None else [], groups=None if rows.groups is None else [])
            target = merged.parts.setdefault(part or split, empty)
            if (target.labels is None) != (rows.labels is None):
                raise DataError(f"Some tables of {tree.where} have labels and others have none.")
            target.add(rows)
    return merged
