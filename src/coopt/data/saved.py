"""Folders that `datasets.Dataset.save_to_disk` and `DatasetDict.save_to_disk` write, read with pyarrow only."""

import json
from pathlib import Path
from typing import Any

from coopt.data.columns import arrow_columns, feature_class_names
from coopt.data.reading import Reading, Rows
from coopt.data.tables import Table, disk_finder, read_table
from coopt.data.tree import FolderTree
from coopt.errors import DataError


def is_saved(tree: FolderTree) -> bool:
    """Whether the folder was written by `save_to_disk`."""
    return "dataset_dict.json" in tree.paths or {"state.json", "dataset_info.json"} <= set(tree.paths)


def read_saved(tree: FolderTree, **options: Any) -> Reading:
    """Read the Arrow files that the folder's `state.json` lists, per split."""
    reading = Reading(tree.where, {})
    if "dataset_dict.json" in tree.paths:
        splits = {name: tree.root / name for name in _json(tree.root / "dataset_dict.json")["splits"]}
    else:
        splits = {"": tree.root}
    for name, folder in splits.items():
        reading.parts[name] = _read_part(folder, f"{name}/" if name else "", reading, options)
    return reading


def _read_part(folder: Path, prefix: str, reading: Reading, options: dict[str, Any]) -> Rows:
    state = _json(folder / "state.json")
    if state.get("_indices_data_files") or state.get("_indices_files"):
        raise DataError(f"'{folder}' has rows selected but not written out. Save it again with flatten_indices().")
    declared = feature_class_names(_json(folder / "dataset_info.json").get("features") or {})
    part = Rows(labels=[], groups=None if options["group_column"] is None else [])
    find = disk_finder(folder, options["image_root"])
    columns = {name: value for name, value in options.items() if name != "image_root"}
    for file in (entry["filename"] for entry in state["_data_files"]):
        table = Table(str(folder / file), prefix + file, *arrow_columns(folder / file))
        table.class_names = {**declared, **table.class_names}
        found = read_table(table, find, **columns)
        reading.class_labels = found.class_labels
        reading.numeric_labels = found.numeric_labels
        # The folder says which split this is; a split column inside it is not used.
        for rows in found.parts.values():
            part.add(rows)
    return part


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"'{path}', a part of a saved data set, cannot be read: {error}.") from error
