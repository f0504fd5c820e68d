"""Tables of images and labels: CSV, TSV, JSON, JSONL and Parquet; which column is which."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coopt.data.cells import Find, MissingImage, read_cell
from coopt.data.columns import column_reader
from coopt.data.found import Reading, Rows
from coopt.data.labels import is_missing, label_text
from coopt.data.parsing import parse_csv, parse_json_lines, parse_json_table
from coopt.data.table_labels import table_labels
from coopt.data.text import read_text
from coopt.data.unicode import find_file
from coopt.data.wording import count, some, table_rows
from coopt.errors import DataError, did_you_mean
from coopt.messages import option

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".ndjson.gz")
"""How the names of tables end."""
GIVEN_SUFFIXES = (*SUFFIXES, ".txt", ".json", ".txt.gz", ".json.gz")
"""How the name of a file ends that is read as a table where the user names it; in folders they may be anything."""

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


def is_table_name(name: str, given: bool = False) -> bool:
    """Whether a file of this name is a table that `parse_table` reads; `given` where the user named this very file."""
    return name.lower().endswith(GIVEN_SUFFIXES if given else SUFFIXES)


def parse_table(source: Path | bytes, name: str, where: str) -> Table:
    """Read a table from a file or from its content; the ending of its name inside its source says of which kind."""
    suffix = Path(name.lower().removesuffix(".gz")).suffix
    if suffix == ".parquet":
        table = Table(where, name, *column_reader(source, name))
    else:
        parsers = {".jsonl": parse_json_lines, ".ndjson": parse_json_lines, ".json": parse_json_table}
        text = read_text(source, f"The table '{name}'")
        table = Table(where, name, parsers.get(suffix, parse_csv)(text, name))
    if table.n_rows == 0:
        raise DataError(f"The table '{name}' has no rows below its header.")
    return table


def disk_finder(folder: Path, image_root: str | Path | None = None) -> Find:
    """How the image paths of a table in `folder` are found on disk.

    Args:
        folder: where the table lies.
        image_root: the folder that its paths start at, as seen from the working directory or from `folder`.

    Raises:
        DataError: there is no such folder.
    """
    if image_root is not None:
        roots = [Path(image_root).expanduser(), folder / image_root]
        folder = next((root for root in roots if root.is_dir()), Path())
        if folder == Path():
            raise DataError(
                f"{option('--image-root', 'image_root')} is '{image_root}'; there is no such folder, neither from the "
                f"working directory nor at '{roots[1]}'."
            )
    return lambda path: find_file(folder, path)


def read_table(
    table: Table,
    find: Find,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    image_suffix: str | None = None,
    require_labels: bool = True,
) -> Reading:
    """Images, labels, groups and split names of a table.

    Args:
        table: the columns.
        find: turns a path into something that `open_image` opens, None where it is missing.
        image_column: the user's choice, or None to go by the usual names.
        label_column: likewise.
        group_column: what images of one object share, if anything.
        image_suffix: what may be missing at the end of a path.
        require_labels: whether a missing label column, or a row without a label, is an error.

    Raises:
        DataError: a column is missing or ambiguous, a row has no label or no group, or no image exists.
    """
    columns = list(table.columns)
    image_column = choose_column(table.where, columns, image_column, "image", IMAGE_COLUMNS, table.image_columns)
    assert image_column is not None  # required, so chosen or refused
    others = [name for name in columns if name != image_column]
    label_column = choose_column(
        table.where, others, label_column, "label", LABEL_COLUMNS, list(table.class_names), require_labels
    )
    if group_column is not None:
        choose_column(table.where, columns, group_column, "group", (), ())
    split_column = next((name for name in others if name.lower() in SPLIT_COLUMNS and name != label_column), None)
    images, names = _images(table, image_column, find, image_suffix or "")
    reading = Reading(f"the table '{table.where}'", {}, label_column=label_column)
    kept = _rows_with_content(table, images, label_column, reading)
    labels = table_labels(table, label_column, kept, reading, require_labels) if label_column is not None else None
    groups = None if group_column is None else _every(table, group_column, kept, "group")
    splits = [""] * table.n_rows
    if split_column is not None:
        splits = _every(table, split_column, kept, "split")
    for split in dict.fromkeys(splits[index] for index in kept):
        here = [index for index in kept if splits[index] == split]
        reading.parts[split] = Rows(
            [images[index] for index in here],
            None if labels is None else [labels[index] for index in here],
            [names[index] for index in here],
            None if groups is None else [groups[index] for index in here],
            [index + 1 for index in here],
        )
    return reading


def choose_column(
    where: str,
    columns: list[str],
    asked: str | None,
    kind: str,
    usual: Sequence[str],
    certain: Sequence[str],
    required: bool = True,
) -> str | None:
    """The column of a kind: the one asked for, one that the table declares, or the one with a usual name."""
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
    if found and required:
        raise DataError(
            f"The table '{where}' has several columns that may be the {kind}: {some(found)}. "
            f"Name one with {option(f'--{kind}-column', f'{kind}_column')}."
        )
    if not required:
        return None
    raise DataError(
        f"The table '{where}' has no column with a usual name for the {kind} ({', '.join(usual[:6])}, ...); it "
        f"has {some(columns)}. Name it with {option(f'--{kind}-column', f'{kind}_column')}."
    )


def _images(table: Table, column: str, find: Find, suffix: str) -> tuple[list[Any], list[str]]:
    cells = table.columns[column]
    by_row = [f"{table.short} row {index + 1}" for index in range(len(cells))]
    if column in table.image_columns:
        return list(cells), by_row
    images, names, missing = [], [], []
    for index, cell in enumerate(cells):
        try:
            image, name = read_cell(cell, find, suffix)
        except TypeError as error:
            raise DataError(
                f"Row {index + 1} (counted below the header) of '{table.where}' has {error} in column {column!r}; an "
                f"image is a path, bytes, text in base64 or an object with 'bytes' or 'path'."
            ) from None
        images.append(image)
        names.append(name or by_row[index])
        if isinstance(image, MissingImage):
            missing.append(index)
    # A few missing files behave as unreadable ones do: reported, skipped and counted when they are opened.
    if len(missing) == len(cells):
        _refuse_all_missing(table, column, names, images)
    return images, names


def _refuse_all_missing(table: Table, column: str, names: list[str], images: list[MissingImage]) -> None:
    reasons = {image.reason for image in images}
    example = f"None of the {len(names)} images that '{table.where}' names in column {column!r} exists, for example "
    if reasons == {MissingImage().reason}:
        hint = (
            f"Paths are relative to the table's folder; {option('--image-root', 'image_root')} names another one, and "
            f"{option('--image-suffix', 'image_suffix')} an ending such as .jpg that they lack"
        )
    else:
        hint = f"Here {images[0].reason}"
    raise DataError(f"{example}'{names[0][:200]}'. {hint}.")


def _rows_with_content(table: Table, images: list[Any], label_column: str | None, reading: Reading) -> list[int]:
    """The rows that have an image or a label; others are left out with a note."""
    labels = [None] * table.n_rows if label_column is None else table.columns[label_column]
    empty = [
        index
        for index, (image, label) in enumerate(zip(images, labels, strict=True))
        if isinstance(image, MissingImage) and is_missing(label)
    ]
    if label_column is None or len(empty) == table.n_rows:
        return list(range(table.n_rows))
    if empty:
        reading.notes.append(f"left out: {count(len(empty), 'row has', 'rows have')} neither an image nor a label")
    return sorted(set(range(table.n_rows)) - set(empty))


def _every(table: Table, column: str, kept: list[int], what: str) -> list[str]:
    """The texts of a column that must have one in each row."""
    texts = ["" if is_missing(cell) else str(label_text(cell)) for cell in table.columns[column]]
    if empty := [index for index in kept if not texts[index]]:
        raise DataError(f"{table_rows(empty)} of '{table.where}' name no {what} in column {column!r}.")
    return texts
