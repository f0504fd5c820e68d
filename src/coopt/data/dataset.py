"""`ImageDataset`: images, labels and class names of any source; `Splits`: its train, val and test parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Int64
from PIL import Image

from coopt.data.digests import UNREADABLE, number_images
from coopt.data.labels import folder_label
from coopt.data.sources import open_frames, open_image
from coopt.data.unicode import one_form
from coopt.data.wording import count, some
from coopt.errors import DataError, did_you_mean


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """A list of images that are opened when asked for, with labels where they are known.

    Raises:
        DataError: the parts do not fit together (lengths, label range, repeated class names).
    """

    images: Sequence[Any]
    """What `coopt.data.sources.open_image` can open: paths, archive members, table cells, bytes, arrays, PIL images,
    tensors."""
    labels: Int64[np.ndarray, " _"] | None
    """Class index of each image, or None where the images are unlabelled."""
    class_names: list[str]
    """The words that a prompt uses for each class; the same for two classes only where `class_labels` differ."""
    class_labels: list[str] | None = None
    """Each class as the source writes it (folder name, label text); `class_names` when not given."""
    split: str | None = None
    """Which part of the source this is: "train", "val", "test", or None for all of it."""
    names: list[str] | None = None
    """A readable id per image: relative path, table row, or index; the index when not given."""
    source: str | None = None
    """What the user gave, in words."""
    image_bits: int | None = None
    """How many bits the values of 16-bit grey images have; None goes by each image (`coopt.data.decode`)."""
    groups: list[str] | None = None
    """For each image what it shares with others of one object, which then stay in one part; None where unknown."""
    rows: Int64[np.ndarray, " _"] | None = None
    """Row of each image in its table, from 1 below the header, where all are of one table."""
    label_column: str | None = None
    """The table's column with the labels."""

    def __post_init__(self) -> None:
        n_images, n_classes = len(self.images), len(self.class_names)
        names = [str(index) for index in range(n_images)] if self.names is None else self.names
        class_labels = list(self.class_names) if self.class_labels is None else self.class_labels
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "class_labels", class_labels)
        if len(names) != n_images:
            raise DataError(f"There are {n_images} images but {len(names)} names.")
        if self.groups is not None and len(self.groups) != n_images:
            raise DataError(f"There are {n_images} images but {len(self.groups)} groups.")
        if len(class_labels) != n_classes:
            raise DataError(f"There are {n_classes} class names but {len(class_labels)} class labels.")
        # ImageNet's list has the same words for a few classes; the source's own labels tell those apart.
        if len(set(self.class_names)) != n_classes and len(set(class_labels)) != n_classes:
            repeated = sorted({name for name in self.class_names if self.class_names.count(name) > 1})
            raise DataError(f"Class names must differ from each other; repeated: {', '.join(map(repr, repeated))}.")
        if self.rows is not None and len(self.rows) != n_images:
            raise DataError(f"There are {n_images} images but {len(self.rows)} row numbers.")
        if self.labels is not None:
            if len(self.labels) != n_images:
                raise DataError(f"There are {n_images} images but {len(self.labels)} labels.")
            if n_images and not (0 <= self.labels.min() and self.labels.max() < n_classes):
                raise DataError(
                    f"Labels run from {self.labels.min()} to {self.labels.max()}, but with {n_classes} class names "
                    f"they must lie in 0..{n_classes - 1}."
                )

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        return f"ImageDataset({self.summary()})"

    def name(self, index: int) -> str:
        """The readable id of one image."""
        assert self.names is not None  # set in __post_init__
        return self.names[index]

    @cached_property
    def digests(self) -> Int64[np.ndarray, " _"]:
        """A number for each image by its content, 0 where it cannot be read; every file is read for it, once."""
        return number_images(self.images)

    def among(self, digests: Int64[np.ndarray, " _"]) -> Bool[np.ndarray, " N"]:
        """Which images are the same as one of these; an image that cannot be read is the same as none."""
        return np.isin(self.digests, digests) & (self.digests != UNREADABLE)

    def without(self, digests: Int64[np.ndarray, " _"]) -> tuple["ImageDataset", int]:
        """The images that are none of these, and how many are left out."""
        same = self.among(digests)
        return (self.subset(np.flatnonzero(~same)), int(same.sum())) if same.any() else (self, 0)

    def place_of_label(self, index: int) -> str:
        """Where the label of one image stands: its image, and the row and column of its table."""
        where = f"{self.name(index)!r} of {self.source or 'the data'}"
        if self.rows is None or self.label_column is None:
            return where
        return f"{where} (row {self.rows[index]}, column {self.label_column!r})"

    def load(self, index: int) -> Image.Image:
        """Open one image as 8-bit RGB.

        Raises:
            UnreadableImageError: it is damaged, missing, too large or of an unknown format.
        """
        return open_image(self.images[index], self.name(index), self.image_bits)

    def load_frames(self, index: int, n: int) -> list[Image.Image]:
        """Open `n` equally spaced frames of an animated or multi-page image: frame floor((i + 0.5) * total / n).

        A still image is repeated, and so are frames where there are fewer than `n`.

        Raises:
            UnreadableImageError: as `load`.
        """
        return open_frames(self.images[index], self.name(index), n, self.image_bits)

    def subset(self, indices: Sequence[int] | Int[np.ndarray, " _"]) -> "ImageDataset":
        """The images at `indices`, in that order, with the same classes."""
        positions = [int(index) for index in indices]
        at = np.array(positions, dtype=np.int64)
        part = replace(
            self,
            images=[self.images[index] for index in positions],
            labels=None if self.labels is None else self.labels[at],
            names=[self.name(index) for index in positions],
            groups=None if self.groups is None else [self.groups[index] for index in positions],
            rows=None if self.rows is None else self.rows[np.array(positions, dtype=np.int64)],
        )
        if "digests" in vars(self):  # known: the files are not read again
            vars(part)["digests"] = self.digests[at]
        return part

    def select_classes(self, classes: Sequence[int] | Int[np.ndarray, " _"]) -> "ImageDataset":
        """The images of some classes only, relabelled from 0 in the given order.

        Raises:
            DataError: the images are unlabelled.
        """
        if self.labels is None:
            raise DataError("Classes cannot be selected from unlabelled images.")
        kept = [int(label) for label in classes]
        positions = np.flatnonzero(np.isin(self.labels, kept))
        new_label = {label: index for index, label in enumerate(kept)}
        assert self.class_labels is not None  # set in __post_init__
        return replace(
            self.subset(positions),
            labels=np.array([new_label[int(label)] for label in self.labels[positions]], dtype=np.int64),
            class_names=[self.class_names[label] for label in kept],
            class_labels=[self.class_labels[label] for label in kept],
        )

    def align(self, class_labels: Sequence[str], class_names: Sequence[str] | None = None) -> "ImageDataset":
        """Renumber the labels to another list of classes, for example those of a trained run.

        Args:
            class_labels: the classes as the source writes them, or as words; this order defines the new labels.
            class_names: their words; those of this data set, or the labels themselves, when not given.

        Raises:
            DataError: an image's class is not among them.
        """
        assert self.class_labels is not None  # set in __post_init__
        position = {folder_label(label): index for index, label in enumerate(class_labels)}
        by_words = {one_form(words): index for index, words in enumerate(class_names or class_labels)}
        present = range(len(self.class_names)) if self.labels is None else np.unique(self.labels).tolist()
        new_label = {
            old: position.get(folder_label(self.class_labels[old]), by_words.get(one_form(self.class_names[old])))
            for old in present
        }
        unknown = [self.class_labels[old] for old, found in new_label.items() if found is None]
        if unknown and self.labels is not None:
            raise DataError(
                f"{self.source or 'The data'} has {count(len(unknown), 'class', 'classes')} not among the "
                f"{len(class_labels)} known ones: {some(unknown)}.{did_you_mean(unknown[0], class_labels)} "
                f"Known: {some(list(class_labels))}."
            )
        words = class_names
        if words is None:
            own = {found: self.class_names[old] for old, found in new_label.items()}
            words = [own.get(index, label) for index, label in enumerate(class_labels)]
        numbers = None if self.labels is None else [new_label[label] for label in self.labels.tolist()]
        labels = None if numbers is None else np.array(numbers, dtype=np.int64)
        return replace(self, labels=labels, class_names=list(words), class_labels=list(class_labels))

    def class_counts(self) -> Int64[np.ndarray, " C"]:
        """Number of images of each class (all 0 where unlabelled)."""
        labels = np.zeros(0, dtype=np.int64) if self.labels is None else self.labels
        return np.bincount(labels, minlength=len(self.class_names)).astype(np.int64)

    def summary(self) -> str:
        """One line: how many images of how many classes, fewest and most per class."""
        text = count(len(self), "image", "images")
        if self.labels is None:
            return f"{text}, unlabelled"
        counts = self.class_counts()
        text += f" of {count(len(counts), 'class', 'classes')}"
        if len(counts) and len(self):
            low, high = int(counts.min()), int(counts.max())
            text += f" ({low} each)" if low == high else f" ({low} to {high} each)"
        return text


MADE_HERE = "coopt: "
"""How `Splits.made_by` begins where the source has no parts of its own."""
JOINED = "; the validation images are learned from too"
"""How it ends where nothing is chosen on validation images."""


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of a data source; a part that it lacks is None."""

    train: ImageDataset | None = None
    val: ImageDataset | None = None
    test: ImageDataset | None = None
    made_by: str = "the source"
    """Who made the split and how."""
    unsplit: ImageDataset | None = None
    """All images of a source that has no parts and was not split: unlabelled ones, or images to predict."""
    notes: tuple[str, ...] = ()
    """What a user should know about the reading: files ignored, classes without images."""
    ignored_files: int = 0
    """How many files of the source were passed over because they are hidden or not images."""

    @property
    def parts(self) -> dict[str, ImageDataset]:
        """The parts there are, by name, in the order train, val, test; "all" of a source without parts."""
        parts = {"train": self.train, "val": self.val, "test": self.test, "all": self.unsplit}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def class_names(self) -> list[str]:
        """The words for each class (the same for all parts)."""
        return self.any.class_names

    @property
    def any(self) -> ImageDataset:
        """The first part there is."""
        return next(iter(self.parts.values()))

    def shared_groups(self) -> list[str]:
        """A note for each two parts that have images of the same group: a test of them says too much."""
        parts = [(name, set(part.groups)) for name, part in self.parts.items() if part.groups is not None]
        return [
            f"{count(len(both), 'group has', 'groups have')} images in the {name} part and in the {other} part: "
            f"{some(sorted(both), 5)}"
            for index, (name, groups) in enumerate(parts)
            for other, others in parts[index + 1 :]
            if (both := groups & others)
        ]

    def whole(self) -> ImageDataset:
        """All parts in one data set: train, then val, then test."""
        parts = list(self.parts.values())
        labels = [part.labels for part in parts if part.labels is not None]
        grouped = [part.groups for part in parts if part.groups is not None]
        return replace(
            parts[0],
            images=[image for part in parts for image in part.images],
            labels=np.concatenate(labels) if len(labels) == len(parts) else None,
            names=[part.name(index) for part in parts for index in range(len(part))],
            groups=[group for groups in grouped for group in groups] if len(grouped) == len(parts) else None,
            rows=None if any(part.rows is None for part in parts) else np.concatenate([part.rows for part in parts]),
            split=None,
        )

    def without_validation(self) -> "Splits":
        """For methods that choose nothing on validation images: those that were set aside here go to the training part.

        Parts of the source's own stay as they are, and so does the test part.
        """
        if self.train is None or self.val is None or not self.made_by.startswith(MADE_HERE):
            return self
        train = replace(Splits(self.train, self.val).whole(), split=self.train.split)
        return replace(self, train=train, val=None, made_by=self.made_by + JOINED)

    def summary(self) -> str:
        """One line per part, then who made the split, and the notes."""
        lines = [f"{name}: {part.summary()}" for name, part in self.parts.items()]
        return "\n".join([*lines, f"split made by {self.made_by}", *self.notes])
