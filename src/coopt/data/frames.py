"""Data frames and data sets of other libraries: pandas, polars, Hugging Face `datasets`, torch.

None of these libraries is imported; each is known by what it can do. An image stays where it is until it is opened.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from coopt.data.tables import IMAGE_COLUMNS, Table, choose_column
from coopt.data.wording import some
from coopt.errors import DataError


@dataclass(frozen=True)
class DatasetItem:
    """One image of a data set of another library, fetched when it is opened."""

    dataset: Any
    index: int
    column: str | None
    """None where an item is the image itself, or the first part of a pair."""

    def read(self) -> Any:
        """The image: bytes, a PIL image, an array or a tensor."""
        item = self.dataset[self.index]
        image = plain_image(item if self.column is None else item[self.column])
        return Path(image).read_bytes() if isinstance(image, (str, Path)) else image


def plain_image(item: Any) -> Any:
    """An item of a data set as an image: the first part of a pair, the bytes or path of a Hugging Face image."""
    if isinstance(item, (tuple, list)) and item:
        item = item[0]
    if isinstance(item, Mapping) and ("bytes" in item or "path" in item):
        item = item.get("bytes") or item.get("path")
    elif isinstance(item, Mapping):
        item = item[next((name for name in item if str(name).lower() in IMAGE_COLUMNS), next(iter(item)))]
    return item


def is_frame(source: Any) -> bool:
    """Whether a source has columns: a data frame, a data set with columns, a map from names to columns."""
    if isinstance(source, Mapping):
        return True
    return not isinstance(source, type) and (
        hasattr(source, "column_names") or (hasattr(source, "columns") and hasattr(source, "__getitem__"))
    )


def is_item_dataset(source: Any) -> bool:
    """Whether a source is a torch `Dataset`: items by number."""
    return isinstance(source, Dataset)


def is_series(source: Any) -> bool:
    """Whether a source is one column, or another container with an order and a length."""
    is_ordered = hasattr(source, "__getitem__") or hasattr(source, "__array__")
    has_items = is_ordered and hasattr(source, "__len__") and hasattr(source, "__iter__")
    return has_items and not isinstance(source, (str, bytes, Path, Mapping, DataLoader))


def frame_table(frame: Any) -> Table:
    """The columns of a frame; a column of images stays lazy where the library opens them itself.

    Raises:
        DataError: it holds the parts of a data set, or no column.
    """
    where = type(frame).__name__
    if isinstance(frame, Mapping) and any(hasattr(part, "column_names") for part in frame.values()):
        raise DataError(f"The {where} holds the parts {some(list(frame))}; give one of them, such as X['train'].")
    names = [str(name) for name in (frame if isinstance(frame, Mapping) else _column_names(frame))]
    if not names or len(set(names)) < len(names):
        raise DataError(f"The {where} has the columns {some(names) or 'none'}; each needs a name of its own.")
    features = getattr(frame, "features", None) or {}
    lazy = [name for name in names if type(features.get(name)).__name__ == "Image"]
    columns: dict[str, Sequence[Any]] = {}
    for key, name in zip(frame if isinstance(frame, Mapping) else _column_names(frame), names, strict=True):
        if name in lazy:
            columns[name] = [DatasetItem(frame, index, name) for index in range(len(frame))]
        else:
            columns[name] = _cells(frame[key])
    if len({len(cells) for cells in columns.values()}) > 1:
        lengths = ", ".join(f"{name!r}: {len(cells)}" for name, cells in columns.items())
        raise DataError(f"The {where} has columns of different lengths: {lengths}.")
    certain = lazy or [name for name in names if _holds_images(columns[name])]
    columns |= {name: [plain_image(cell) for cell in columns[name]] for name in certain}
    words = {name: list(features[name].names) for name in names if getattr(features.get(name), "names", None)}
    return Table(where, "row", columns, certain, words)


def image_column_of(table: Table, asked: str | None = None) -> str:
    """The column with the images: the one asked for, one that holds images, the only one, or one with a usual name.

    Raises:
        DataError: there is none, or several.
    """
    names = list(table.columns)
    certain = names if len(names) == 1 else table.image_columns
    found = choose_column(table.where, names, asked, "image", IMAGE_COLUMNS, certain)
    assert found is not None  # required, so chosen or refused
    return found


def dataset_items(dataset: Any) -> tuple[list[DatasetItem], list[Any] | None, list[str] | None]:
    """The images of a torch `Dataset`, their labels and the names of the classes, where it has them.

    Raises:
        DataError: it has no length.
    """
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise DataError(
            f"A {type(dataset).__name__} has no length; give a Dataset whose items are found by number, or a list."
        )
    labels, names = _dataset_labels(dataset)
    return [DatasetItem(dataset, index, None) for index in range(len(dataset))], labels, names


def item_labels(dataset: Any) -> list[Any] | None:
    """The labels of a torch `Dataset` that keeps them nowhere else: every item is fetched once."""
    labels = []
    for index in range(len(dataset)):
        item = dataset[index]
        if not (isinstance(item, (tuple, list)) and len(item) > 1):
            return None
        labels.append(_scalar(item[1]))
    return labels


def _dataset_labels(dataset: Any) -> tuple[list[Any] | None, list[str] | None]:
    if isinstance(dataset, Subset):
        labels, names = _dataset_labels(dataset.dataset)
        return None if labels is None else [labels[index] for index in dataset.indices], names
    for attribute in ("targets", "labels"):
        found = getattr(dataset, attribute, None)
        if found is not None and hasattr(found, "__len__") and len(found) == len(dataset):
            labels = [_scalar(label) for label in found]
            names = getattr(dataset, "classes", None)
            return labels, [str(name) for name in names] if isinstance(names, (list, tuple)) else None
    return None, None


def _scalar(label: Any) -> Any:
    return label.item() if isinstance(label, (np.generic, torch.Tensor)) and np.ndim(label) == 0 else label


def _column_names(frame: Any) -> list[Any]:
    return list(frame.column_names if hasattr(frame, "column_names") else frame.columns)


def _cells(column: Any) -> list[Any]:
    return column.to_list() if hasattr(column, "to_list") else list(column)


def _holds_images(cells: Sequence[Any]) -> bool:
    first = next((cell for cell in cells if cell is not None), None)
    if isinstance(first, Mapping):
        return "bytes" in first or "path" in first
    return isinstance(first, (bytes, Path, Image.Image, DatasetItem)) or (
        isinstance(first, (np.ndarray, torch.Tensor)) and first.ndim >= 2
    )
