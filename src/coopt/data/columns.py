"""Parquet and Arrow files: columns as Python values, images read lazily from their row group or record batch.

Hugging Face data sets keep an image as a struct of its file's bytes and path, and class names in the schema's
metadata; both are read with pyarrow only.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from coopt.errors import DataError

CACHE_BYTES = 2**29
"""How much of the image columns stays in memory, per process. At least one row group is kept, whatever its size."""


@dataclass(frozen=True)
class TableCell:
    """One image in a Parquet or Arrow file on disk: picklable, opened in whichever process reads it."""

    file: str
    column: str
    group: int
    """The Parquet row group, or -1 for an Arrow file, which is mapped and not read by groups."""
    row: int

    def read(self) -> bytes:
        """The content of the image file as bytes."""
        return _bytes_of(_CACHE.column(self.file, self.column, self.group), self.row, Path(self.file).parent)


@dataclass(frozen=True)
class HeldCell:
    """One image of a table that came as bytes, for example from inside an archive."""

    values: pa.ChunkedArray
    row: int

    def read(self) -> bytes:
        """The content of the image file as bytes."""
        return _bytes_of(self.values, self.row, None)


Columns = tuple[dict[str, Sequence[Any]], list[str], dict[str, list[str]]]


def column_reader(source: Path | bytes, name: str) -> Columns:
    """The columns of a Parquet file, its image columns, and the class names of its label columns."""
    try:
        if isinstance(source, bytes):
            table = pq.read_table(pa.BufferReader(source))
            held = partial(_held_cells, table)
            return _columns(table.schema, table.select, held, partial(_no_bytes_held, table))
        file = pq.ParquetFile(source)
        facts = file.metadata
        groups = [
            (group, row) for group in range(facts.num_row_groups) for row in range(facts.row_group(group).num_rows)
        ]
        path = str(source.resolve())
        stored = partial(_stored_cells, path, groups)
        return _columns(file.schema_arrow, file.read, stored, partial(_no_bytes_stored, facts))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"The table '{name}' is not a readable Parquet file: {error}.") from error


def arrow_columns(source: Path) -> Columns:
    """As `column_reader`, for an Arrow file as `datasets` saves it."""
    try:
        table = open_arrow(source)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{source}' is not a readable Arrow file: {error}.") from error
    stored = partial(_stored_cells, str(source.resolve()), [(-1, row) for row in range(table.num_rows)])
    return _columns(table.schema, table.select, stored, partial(_no_bytes_held, table))


def open_arrow(path: Path) -> pa.Table:
    """Map an Arrow file into memory, in the streaming format (as `datasets` writes) or the file format."""
    mapped = pa.memory_map(str(path))
    try:
        return pa.ipc.open_stream(mapped).read_all()
    except pa.ArrowInvalid:
        return pa.ipc.open_file(mapped).read_all()


def _is_image(entry: pa.Field) -> bool:
    """Whether a column holds images: structs with `bytes`, plain binary, or lists of either."""
    kind = entry.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind = kind.value_type
    is_struct = pa.types.is_struct(kind) and any(child.name == "bytes" for child in kind)
    binary = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return is_struct or any(is_kind(kind) for is_kind in binary)


def class_labels(schema: pa.Schema) -> dict[str, list[str]]:
    """The class names of the label columns, from the metadata that `datasets` writes into the schema."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        return feature_class_names(info.get("info", {}).get("features", {}))
    except (ValueError, AttributeError):
        return {}


def feature_class_names(features: Any) -> dict[str, list[str]]:
    """The class names by column in a `features` description, of `dataset_info.json` or of a card's YAML."""
    found: dict[str, list[str]] = {}
    if isinstance(features, dict):
        for column, feature in features.items():
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names"):
                found[column] = [str(name) for name in feature["names"]]
    for feature in features if isinstance(features, list) else []:
        dtype = feature.get("dtype")
        names = dtype.get("class_label", {}).get("names") if isinstance(dtype, dict) else None
        if isinstance(names, dict):
            found[feature["name"]] = [str(names[key]) for key in sorted(names, key=int)]
        elif names:
            found[feature["name"]] = [str(name) for name in names]
    return found


def _columns(
    schema: pa.Schema,
    read: Callable[[list[str]], pa.Table],
    cells: Callable[[str], Sequence[TableCell | HeldCell]],
    no_bytes: Callable[[str], bool],
) -> Columns:
    # Structs that have paths and no bytes are paths like those of any table.
    images = [entry.name for entry in schema if _is_image(entry) and not (_has_path(entry) and no_bytes(entry.name))]
    plain = [column for column in schema.names if column not in images]
    values: dict[str, Sequence[Any]] = read(plain).to_pydict() if plain else {}
    values |= {column: cells(column) for column in images}
    return {column: values[column] for column in schema.names}, images, class_labels(schema)


def _has_path(entry: pa.Field) -> bool:
    return pa.types.is_struct(entry.type) and any(child.name == "path" for child in entry.type)


def _held_cells(table: pa.Table, column: str) -> list[HeldCell]:
    return [HeldCell(table[column], row) for row in range(table.num_rows)]


def _stored_cells(path: str, places: list[tuple[int, int]], column: str) -> list[TableCell]:
    return [TableCell(path, column, *place) for place in places]


def _no_bytes_held(table: pa.Table, column: str) -> bool:
    return all(chunk.field("bytes").null_count == len(chunk) for chunk in table[column].chunks)


def _no_bytes_stored(facts: pq.FileMetaData, column: str) -> bool:
    """Whether the file says that a column's structs hold no bytes; images are not read for it."""
    for group in map(facts.row_group, range(facts.num_row_groups)):
        for number in range(group.num_columns):
            part = group.column(number)
            if part.path_in_schema == f"{column}.bytes":
                counted = part.statistics is not None and part.statistics.has_null_count
                if not counted or part.statistics.null_count < group.num_rows:
                    return False
    return True


def _bytes_of(values: Any, row: int, folder: Path | None) -> bytes:
    value = values[row].as_py()
    if isinstance(value, list):
        if len(value) > 1:
            raise OSError(f"the table's cell holds {len(value)} images; one for each row is needed")
        value = value[0] if value else None
    if isinstance(value, dict):
        if value.get("bytes") is None and value.get("path") and folder is not None:
            return (folder / value["path"]).read_bytes()
        value = value.get("bytes")
    if not value:
        raise OSError("the table's cell is empty")
    return value


class _ColumnCache:
    """Image columns by (file, column, row group), the least recently used dropped when they grow too large."""

    def __init__(self) -> None:
        self._columns: OrderedDict[tuple[int, str, str, int], Any] = OrderedDict()
        self._files: dict[tuple[int, str], Any] = {}
        self._bytes = 0

    def column(self, file: str, column: str, group: int) -> Any:
        if group < 0:
            return self._open(file)[column]
        # A forked process must not share the parent's file position, so the process is part of the key.
        key = (os.getpid(), file, column, group)
        if key not in self._columns:
            values = self._open(file).read_row_group(group, columns=[column])[column]
            self._columns[key] = values
            self._bytes += values.nbytes
            while self._bytes > CACHE_BYTES and len(self._columns) > 1:
                self._bytes -= self._columns.popitem(last=False)[1].nbytes
        self._columns.move_to_end(key)
        return self._columns[key]

    def _open(self, file: str) -> Any:
        key = (os.getpid(), file)
        if key not in self._files:
            self._files[key] = pq.ParquetFile(file) if file.endswith(".parquet") else open_arrow(Path(file))
        return self._files[key]


_CACHE = _ColumnCache()
