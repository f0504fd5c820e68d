"""`load_dataset`: one call for every source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coopt.data.classes import ClassNames
from coopt.data.dataset import Splits
from coopt.data.layout import read_class_folders
from coopt.data.reading import Reading, assemble
from coopt.data.tree import FolderTree
from coopt.errors import DataError, did_you_mean


def load_dataset(
    source: Any,
    *,
    labels: Any = None,
    split: str | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    class_names: ClassNames = None,
    seed: int = 1,
    fractions: Sequence[float] = (0.5, 0.2, 0.3),
    make_split: bool = True,
    require_labels: bool = True,
) -> Splits:
    """Read images and labels from `source`; no image is decoded yet."""
    reading = _read(source)
    return assemble(
        reading,
        split=split,
        class_names=class_names,
        seed=seed,
        fractions=fractions,
        make_split=make_split,
        require_labels=require_labels,
    )


def _read(source: Any) -> Reading:
    path = Path(source)
    if not path.exists():
        siblings = [child.name for child in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"The path '{path}' does not exist.{did_you_mean(path.name, siblings)}")
    return read_class_folders(FolderTree(path))
