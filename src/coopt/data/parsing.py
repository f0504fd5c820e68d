"""From the text of a table to its columns: CSV with its separators, JSON lines, and the layouts of JSON tables."""

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from coopt.data.decode import is_image_name
from coopt.data.text import LINE_ENDS, parse_json, text_lines
from coopt.data.wording import some, table_rows
from coopt.errors import DataError

Columns = dict[str, Sequence[Any]]
SEPARATORS = (",", ";", "\t", "|")


def parse_csv(text: str, name: str) -> Columns:
    """Columns of a text with a header line; the separator is the one of `SEPARATORS` that cuts the header in most.

    The lines of a .txt file may also be cut at spaces, where only the first column may have some in it.
    """
    header = next((line for line in LINE_ENDS.split(text) if line.strip()), "")
    cells = {sign: len(next(csv.reader([header], delimiter=sign), [])) for sign in SEPARATORS}
    separator = "\t" if ".tsv" in name.lower() and cells["\t"] > 1 else max(SEPARATORS, key=lambda sign: cells[sign])
    if cells[separator] == 1 and ".txt" in name.lower():
        separator = " "
        lines = [line.rsplit(None, len(header.split()) - 1) for line in text_lines(text)]
    else:
        lines = _csv_lines(text, name, separator)
    if not lines:
        raise DataError(f"The table '{name}' is empty.")
    columns = [cell.strip() for cell in lines[0]]
    if any(is_image_name(column) for column in columns):
        raise DataError(
            f"The table '{name}' begins with {some(columns)}, which is a row and no header. Put a line with the names "
            f"of the columns before it, such as path{separator}label."
        )
    if len(set(columns)) < len(columns):
        raise DataError(f"The table '{name}' has a column name twice: {some(columns)}.")
    if wrong := [index for index, line in enumerate(lines[1:]) if len(line) != len(columns)]:
        raise DataError(
            f"{table_rows(wrong)} of '{name}' have another number of cells than the header's {len(columns)}. "
            f"Quote cells that contain {separator!r}."
        )
    return {column: [line[index] for line in lines[1:]] for index, column in enumerate(columns)}


def parse_json_lines(text: str, name: str) -> Columns:
    """Columns of a text with a JSON object in each line."""
    records = []
    # JSON texts have no raw line ends in them; other signs that end a line may stand inside a JSON string.
    for number, line in enumerate(LINE_ENDS.split(text), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except RecursionError:
            raise DataError(f"Line {number} of '{name}' is not JSON that is read: it is nested too deeply.") from None
        except ValueError as error:
            raise DataError(f"Line {number} of '{name}' is not JSON: {error}.") from error
        if not isinstance(record, dict):
            raise DataError(f'Line {number} of \'{name}\' is not a JSON object such as {{"image": ..., "label": ...}}.')
        records.append(record)
    return _from_records(records)


def parse_json_table(text: str, name: str) -> Columns:
    """Columns of a JSON file: a list of objects, an object of columns (pandas' layouts too), or paths with labels."""
    value = parse_json(text, f"The table '{name}'")
    if isinstance(value, dict) and isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):
        keys, rows = value["columns"], value["data"]  # pandas: orient="split"
        if all(isinstance(row, list) and len(row) == len(keys) for row in rows):
            return {str(key): [row[index] for row in rows] for index, key in enumerate(keys)}
    if isinstance(value, dict) and len(value) == 1 and isinstance(next(iter(value.values())), list):
        inner = next(iter(value.values()))
        value = inner if inner and isinstance(inner[0], dict) else value
    if isinstance(value, dict) and isinstance(value.get("data"), list) and "schema" in value:
        value = value["data"]  # pandas: orient="table"
    if isinstance(value, list) and value and all(isinstance(record, dict) for record in value):
        return _from_records(value)
    if isinstance(value, dict) and value:
        cells = list(value.values())
        if all(isinstance(cell, list) and len(cell) == len(cells[0]) for cell in cells):
            return {str(key): cell for key, cell in value.items()}
        if all(isinstance(cell, dict) and list(cell) == list(cells[0]) for cell in cells):
            if all(key.isdigit() for key in cells[0]):  # pandas' own layout numbers the rows of each column
                return {str(key): list(cell.values()) for key, cell in value.items()}
            return _from_records(cells)
        if not any(isinstance(cell, (list, dict)) for cell in cells):
            return {"path": list(value), "label": cells}
    raise DataError(
        f"The table '{name}' is JSON of another layout than those that are read: a list of objects such as "
        f'[{{"image": "1.png", "label": "cat"}}], an object of columns {{"image": [...], "label": [...]}}, or an '
        f'object of labels by path {{"1.png": "cat"}}.'
    )


def _from_records(records: Sequence[Mapping[str, Any]]) -> Columns:
    columns = list(dict.fromkeys(key for record in records for key in record))
    return {column: [record.get(column) for record in records] for column in columns}


def _csv_lines(text: str, name: str, separator: str) -> list[list[str]]:
    limit = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # images in base64 are longer than the module expects
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f"The table '{name}' is damaged: {error}.") from error
    finally:
        csv.field_size_limit(limit)
    return [line for line in lines if any(cell.strip() for cell in line)]
