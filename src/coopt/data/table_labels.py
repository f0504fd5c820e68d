"""The label column of a table."""

from typing import TYPE_CHECKING

from coopt.data.labels import distinct_labels, is_whole, label_text
from coopt.data.reading import Reading
from coopt.data.wording import count, table_rows
from coopt.errors import DataError

if TYPE_CHECKING:
    from coopt.data.tables import Table


def table_labels(table: "Table", column: str, kept: list[int], reading: Reading, required: bool) -> list[str] | None:
    """The label of each of the `kept` rows (any text for others); None where labels are missing and not required.

    What the table says of its classes goes to the reading.

    Raises:
        DataError: a label is required and missing, is no label, or is no number of a declared class.
    """
    cells = table.columns[column]
    declared = table.class_names.get(column)
    if declared:
        reading.class_labels = distinct_labels(declared, f"The column {column!r} of '{table.where}'")
    texts: list[str | None] = [None] * len(cells)
    for index in kept:
        texts[index] = _label(table, column, index, reading.class_labels)
    empty = [index for index in kept if texts[index] is None]
    if empty:
        if len(empty) == len(kept) and (declared or not required):
            return None
        if required:
            raise DataError(
                f"{table_rows(empty)} of '{table.where}' have no label in column {column!r} ({len(empty)} of "
                f"{count(len(kept), 'row', 'rows')}). Fill them in, or take the rows out."
            )
        reading.notes.append(f"labels are not used: {count(len(empty), 'row has', 'rows have')} none")
        return None
    reading.numeric_labels = not declared and all(is_whole(texts[index] or "") for index in kept)
    return [text or "" for text in texts]


def _label(table: "Table", column: str, index: int, declared: list[str] | None) -> str | None:
    """The label of one row; in a column of declared classes the cells are their numbers."""
    cell = table.columns[column][index]
    try:
        text = label_text(cell)
    except TypeError:
        raise DataError(
            f"Column {column!r} of '{table.where}' holds lists or objects, the first in row {index + 1} (counted below "
            f"the header); one label per image is needed."
        ) from None
    if declared is None or text is None:
        return text
    if text == "-1":  # so do data sets of the hub write the hidden labels of a test part
        return None
    if not (is_whole(text) and 0 <= int(text) < len(declared)):
        raise DataError(f"'{table.where}' has label {cell} in {column!r}, but names {len(declared)} classes.")
    return declared[int(text)]
