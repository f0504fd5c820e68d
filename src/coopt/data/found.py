"""What every reader hands over: images, labels and names by part, and what a user should know of the reading."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Rows:
    """Images as a reader found them: all of a source or one part of it."""

    images: list[Any] = field(default_factory=list)
    labels: list[str] | None = None
    """Label text of each image, or None where the source gives none."""
    names: list[str] = field(default_factory=list)
    groups: list[str] | None = None
    """What images of one object share; None where the source does not say."""
    numbers: list[int] = field(default_factory=list)
    """Row of each image in its table, from 1; empty where there is no table."""

    def add(self, other: "Rows") -> None:
        """Append other images; their labels and groups too, unless one of both has none."""
        self.images += other.images
        self.names += other.names
        self.numbers = []  # of no single table
        self.labels = None if self.labels is None or other.labels is None else self.labels + other.labels
        self.groups = None if self.groups is None or other.groups is None else self.groups + other.groups


@dataclass
class Reading:
    """All that a reader found in a source."""

    where: str
    """What messages call the source."""
    parts: dict[str, Rows]
    """By the source's own split name; the key is "" for a source that is not split."""
    class_labels: list[str] | None = None
    """The classes in order, where the source itself says so (ClassLabel features, folders)."""
    declares_order: bool = True
    """Whether the order of `class_labels` is a statement of the source, which a list of words then follows."""
    numeric_labels: bool = False
    """Whether labels are whole numbers of a table or an array, which sort by value; folder names sort as text."""
    notes: list[str] = field(default_factory=list)
    ignored_files: int = 0
    label_column: str | None = None
    """Of the table, where the source is one."""
    empty_classes: list[str] = field(default_factory=list)
    """Classes of which there is no image, where that is allowed."""
