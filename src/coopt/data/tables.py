"""Tables of images and labels: CSV, TSV, JSONL and Parquet; which column is which."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coopt.data.columns import column_reader
from coopt.data.reading import Reading, Rows
from coopt.data.wording import count, some, table_rows
from coopt.errors import DataError, did_you_mean

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")

IMAGE_COLUMNS = (
    "image", "img", "images", "file_name", "filename", "file", "filepath", "file_path", "path", "image_path",
    "img_path", "image_file", "img_file", "image_name", "image_filename",
)  # fmt: skip
LABEL_COLUMNS = (
    "label", "labels", "class", "class_name", "classname", "category", "target", "label_name", "fine_label", "species",
)  # fmt: skip
SPLIT_COLUMNS = ("split", "subset", "partition", "set")


@dataclass
class Table:
    """The columns of a table, by name, as Python values; image columns of Parquet as lazily read cells."""

    where: str
    short: str
    """Its path inside its source, for the names of its rows."""
    columns: dict[str, Sequence[Any]]
    image_columns: list[str] = field(default_factory=list)
    """Columns that hold images themselves."""
    class_names: dict[str, list[str]] = field(default_factory=dict)
    """By column: the label of each number, where the table says so (ClassLabel features)."""

    @property
    def n_rows(self) -> int:
        """How many rows there are below the header."""
        return len(next(iter(self.columns.values()))) if self.columns else 0


def is_table_name(name: str) -> bool:
    """Whether a file of this name is a table that `parse_table` reads."""
    return name.lower().endswith(SUFFIXES)


def parse_table(source: Path | bytes, name: str, where: str) -> Table:
    """Read a table from a file or from its content; the ending of its name inside its source says of which kind."""
    suffix = Path(name).suffix.lower()
    if suffix == ".parquet":
        table = Table(where, name, *column_reader(source, name))
    else:
        content = source if isinstance(source, bytes) else source.read_bytes()
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError(f"The table '{name}' is not UTF-8 text: {error}. Save it as UTF-8.") from error
        parse = _parse_json_lines if suffix in (".jsonl", ".ndjson") else _parse_csv
        table = Table(where, name, parse(text, name))
    if table.n_rows == 0:
        raise DataError(f"The table '{name}' has no rows below its header.")
    return table


def disk_resolver(folder: Path) -> Callable[[str], Path | None]:
    """How the image paths of a table in `folder` are found on disk."""
    return lambda value: path if (path := folder / value).is_file() else None


def read_table(
    table: Table,
    resolve: Callable[[str], Any],
    *,
    image_column: str | None,
    label_column: str | None,
    require_labels: bool,
) -> Reading:
    """Images, labels and split names of a table.

    Args:
        table: the columns.
        resolve: turns the text of an image column into something that `open_image` opens, None where it is missing.
        image_column: the user's choice, or None to go by the usual names.
        label_column: likewise.
        require_labels: whether a missing label column, or a row without a label, is an error.

    Raises:
        DataError: a column is missing or ambiguous, a row has no image or no label, or no image exists.
    """
    columns = list(table.columns)
    image_column = _choose_column(table.where, columns, image_column, "image", IMAGE_COLUMNS, table.image_columns)
    assert image_column is not None  # required, so chosen or refused
    others = [name for name in columns if name != image_column]
    label_column = _choose_column(
        table.where, others, label_column, "label", LABEL_COLUMNS, list(table.class_names), require_labels
    )
    split_column = next((name for name in others if name.lower() in SPLIT_COLUMNS and name != label_column), None)
    images, names = _images(table, image_column, resolve)
    reading = Reading(f"the table '{table.where}'", {}, label_column=label_column)
    labels = None
    if label_column is not None:
        labels = _labels(table, label_column, reading, require_labels)
    splits = [""] * table.n_rows
    if split_column is not None:
        splits = _texts(table.columns[split_column])
        if empty := [index for index, split in enumerate(splits) if not split]:
            raise DataError(f"{table_rows(empty)} of '{table.where}' name no split.")
    for index, split in enumerate(splits):
        rows = reading.parts.setdefault(split, Rows(labels=None if labels is None else []))
        rows.images.append(images[index])
        rows.names.append(names[index])
        rows.numbers.append(index + 1)
        if rows.labels is not None and labels is not None:
            rows.labels.append(labels[index])
    return reading


def _choose_column(
    where: str,
    columns: list[str],
    asked: str | None,
    kind: str,
    usual: Sequence[str],
    certain: Sequence[str],
    required: bool = True,
) -> str | None:
    if asked is not None:
        if asked in columns:
            return asked
        raise DataError(
            f"The table '{where}' has no column {asked!r}; it has {some(columns)}.{did_you_mean(asked, columns)}"
        )
    # What the table declares (images in the cells, class names) outweighs how a column is called.
    found = [name for name in certain if name in columns] or [name for name in columns if name.lower() in usual]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"The table '{where}' has several columns that may be the {kind}: {some(found)}. "
            f"Name one with {kind}_column (--{kind}-column)."
        )
    if not required:
        return None
    raise DataError(
        f"The table '{where}' has no column with a usual name for the {kind} ({', '.join(usual[:6])}, ...); it "
        f"has {some(columns)}. Name it with {kind}_column (--{kind}-column)."
    )


def _images(table: Table, column: str, resolve: Callable[[str], Any]) -> tuple[list[Any], list[str]]:
    cells = table.columns[column]
    if column in table.image_columns:
        return list(cells), [f"{table.short} row {index + 1}" for index in range(len(cells))]
    names = _texts(cells)
    if empty := [index for index, name in enumerate(names) if not name]:
        raise DataError(f"{table_rows(empty)} of '{table.where}' have no image in column {column!r}.")
    images = [resolve(name) for name in names]
    missing = [name for name, image in zip(names, images, strict=True) if image is None]
    if len(missing) == len(names):
        raise DataError(
            f"None of the {len(names)} images that '{table.where}' names in column {column!r} exists, for example "
            f"'{missing[0]}'. Paths are relative to the table's folder."
        )
    # A few missing files behave as unreadable ones do: reported, skipped and counted when they are opened.
    return [image if image is not None else MissingImage() for image in images], names


@dataclass(frozen=True)
class MissingImage:
    """An image that a table names but that does not exist."""

    def read(self) -> bytes:
        """Say so, in the way in which reading any missing file does."""
        raise FileNotFoundError("the file does not exist")


def _labels(table: Table, column: str, reading: Reading, required: bool) -> list[str] | None:
    cells = table.columns[column]
    names = table.class_names.get(column)
    # ClassLabel features write a hidden test label as -1.
    empty = [i for i, cell in enumerate(cells) if cell is None or str(cell).strip() == "" or (names and cell == -1)]
    if empty:
        if len(empty) == len(cells) and (names or not required):
            return None
        if required:
            raise DataError(f"{table_rows(empty)} of '{table.where}' have no label in column {column!r}. Fill them in.")
        reading.notes.append(f"labels are not used: {count(len(empty), 'row has', 'rows have')} none")
        return None
    if names:
        if outside := [cell for cell in cells if not 0 <= cell < len(names)]:
            raise DataError(f"'{table.where}' has label {outside[0]} in {column!r}, but names {len(names)} classes.")
        reading.class_labels = list(names)
        return [names[cell] for cell in cells]
    if any(isinstance(cell, (list, dict)) for cell in cells):
        raise DataError(f"Column {column!r} of '{table.where}' holds lists or objects; one label per image is needed.")
    texts = [str(int(c)) if isinstance(c, float) and c.is_integer() else str(c).strip() for c in cells]
    reading.numeric_labels = all(text.lstrip("-").isdigit() for text in texts)
    return texts


def _parse_csv(text: str, name: str) -> dict[str, Sequence[Any]]:
    header = text.split("\n", 1)[0]
    delimiter = "\t" if name.lower().endswith(".tsv") else ","
    if delimiter not in header:
        # Spreadsheets of some countries write ';', and some programs write tabs into .csv.
        delimiter = next((other for other in (";", "\t") if other in header), delimiter)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise DataError(f"The table '{name}' is damaged: {error}.") from error
    lines = [line for line in lines if any(cell.strip() for cell in line)]
    if not lines:
        raise DataError(f"The table '{name}' is empty.")
    columns = [cell.strip() for cell in lines[0]]
    if len(set(columns)) < len(columns):
        raise DataError(f"The table '{name}' has a column name twice: {some(columns)}.")
    if wrong := [index for index, line in enumerate(lines[1:]) if len(line) != len(columns)]:
        raise DataError(
            f"{table_rows(wrong)} of '{name}' have another number of cells than the header's {len(columns)}. "
            f"Quote cells that contain {delimiter!r}."
        )
    return {column: [line[index] for line in lines[1:]] for index, column in enumerate(columns)}


def _parse_json_lines(text: str, name: str) -> dict[str, Sequence[Any]]:
    records = []
    for number, line in enumerate(text.split("\n"), start=1):  # other line ends may stand inside a JSON string
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"Line {number} of '{name}' is not JSON: {error}.") from error
        if not isinstance(record, dict):
            raise DataError(f'Line {number} of \'{name}\' is not a JSON object such as {{"image": ..., "label": ...}}.')
        records.append(record)
    columns = list(dict.fromkeys(key for record in records for key in record))
    return {column: [record.get(column) for record in records] for column in columns}


def _texts(cells: Sequence[Any]) -> list[str]:
    """The cells as stripped text, missing ones as the empty text."""
    return ["" if cell is None else str(cell).strip() for cell in cells]
