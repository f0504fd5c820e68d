"""`load_benchmark`: a data set by name, as the authors' code reads it."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coopt.data.dataset import ImageDataset, Splits
from coopt.data.load import load_dataset
from coopt.data.wording import some
from coopt.datasets.facts import BenchmarkFacts, Listing
from coopt.datasets.own import OwnBenchmark, read_data_file
from coopt.datasets.splits import read_split_file
from coopt.datasets.table import find_benchmark
from coopt.errors import DataError
from coopt.messages import option


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A data set of the benchmark, its images not yet opened."""

    name: str
    template: str
    """The hand-written prompt; '{}' is the class name."""
    class_names: list[str]
    """The words of each class, by label; all parts share them. ImageNet's list has the same words for some classes."""
    train: ImageDataset | None = None
    val: ImageDataset | None = None
    test: ImageDataset | None = None
    variant_of: str | None = None
    """The data set that is trained on, where this one is only for testing."""
    made_by: str = ""
    """Where the split comes from, in words."""
    task: str | None = None
    """What its labels mean, where that is not classification: a name in `coopt.tasks.TASKS`, or `module:Class`."""
    allow_equal_prompts: bool = True
    """Whether two classes may have the same prompt; the authors' class names are taken as they are."""
    notes: tuple[str, ...] = ()
    """What a user should know of the reading."""
    ranks: str | None = None
    """The ranks of the task `ordinal`, where they are not the numbers that its labels have."""

    @property
    def task_settings(self) -> dict[str, str]:
        """Settings of its task."""
        return {} if self.ranks is None else {"ranks": self.ranks}

    @property
    def parts(self) -> dict[str, ImageDataset]:
        """The parts there are, by name."""
        return Splits(self.train, self.val, self.test).parts


def load_benchmark(
    name: str, root: Path | str, *, extra: Path | str | None = None, allow_duplicates: bool = False
) -> Benchmark:
    """Read a data set by name, with the authors' split, label order and class names.

    Args:
        name: a name of `BENCHMARKS`, in any spelling, or one that `extra` defines.
        root: the folder with the data sets' folders, laid out as the field has them on disk.
        extra: a YAML file of the user's own data sets (`--data-file`).
        allow_duplicates: keep test images of own data sets that are copies of training or validation images; published
            data sets stay as they are, so that results compare.

    Raises:
        DataError: no such name, missing folders or files, annotations that contradict each other.
    """
    own = read_data_file(extra) if extra is not None else {}
    if name in own:
        return _own_benchmark(own[name], allow_duplicates)
    facts = find_benchmark(name)
    listing = read_listing(facts, Path(root))
    names, labels = class_names_of(listing, facts)
    folder = Path(root) / facts.folder
    parts = {
        part: ImageDataset(
            images=[f"{folder}{os.sep}{item.path}" for item in items],  # text: a million Path objects take a gigabyte
            labels=np.array([item.label for item in items], dtype=np.int64),
            class_names=names,
            class_labels=labels,
            split=part,
            names=[item.path for item in items],
            source=str(folder),
        )
        for part, items in listing.parts.items()
    }
    for dataset in parts.values():
        if not os.path.exists(dataset.images[0]):
            raise DataError(
                f"{facts.title} lists images that are not there, for example '{dataset.images[0]}'. "
                f"`coopt datasets check {facts.name} --root {root}` counts them."
            )
    return Benchmark(
        facts.name,
        facts.template,
        names,
        parts.get("train"),
        parts.get("val"),
        parts.get("test"),
        variant_of=facts.variant_of,
        made_by=listing.made_by,
        task=facts.task,
        ranks=facts.ranks,
    )


def read_listing(facts: BenchmarkFacts, root: Path) -> Listing:
    """The images of a data set below `root`: from the split file that the field shares, else by its own reader.

    Raises:
        DataError: its folder is missing, or the reader's reasons.
    """
    folder = root / facts.folder
    if not folder.is_dir():
        raise DataError(
            f"{facts.title} is not at '{folder}'. `coopt datasets fetch {facts.name} --root {root}` brings it, or "
            f"says how; where it is elsewhere, link it there."
        )
    listing = read_split_file(folder, facts) or facts.read(folder, facts)
    empty = [part for part, items in listing.parts.items() if not items]
    if empty:
        raise DataError(f"{facts.title} in '{folder}' has no images in its part(s) {some(empty)}.")
    return listing


def class_names_of(listing: Listing, facts: BenchmarkFacts) -> tuple[list[str], list[str]]:
    """The words of each class and the classes as the source writes them, by label.

    Raises:
        DataError: a label has two names, or the labels have gaps.
    """
    by_label: dict[int, str] = {}
    for items in listing.parts.values():
        for item in items:
            known = by_label.setdefault(item.label, item.class_name)
            if known != item.class_name:
                raise DataError(
                    f"{facts.title} calls class {item.label} both {known!r} and {item.class_name!r} ('{item.path}'). "
                    f"Its annotations are damaged or mixed up: fetch them again."
                )
    n_classes = len(listing.class_labels) if listing.class_labels is not None else max(by_label) + 1
    missing = [label for label in range(n_classes) if label not in by_label]
    if missing or min(by_label) < 0 or len(by_label) > n_classes:
        raise DataError(
            f"{facts.title} has labels from {min(by_label)} to {max(by_label)} for {len(by_label)} classes; "
            f"they must run from 0 without a gap (missing: {some([str(label) for label in missing])})."
        )
    # Only '_' becomes a space, as in the authors' prompts: 'BAE 146-200' keeps its hyphen.
    names = [by_label[label].replace("_", " ") for label in range(n_classes)]
    labels = listing.class_labels or [by_label[label] for label in range(n_classes)]
    return names, labels


def _own_benchmark(own: OwnBenchmark, allow_duplicates: bool) -> Benchmark:
    splits = load_dataset(
        own.path,
        class_names=own.class_names,
        image_column=own.image_column,
        label_column=own.label_column,
        group_column=own.group_column,
        image_root=own.image_root,
        image_suffix=own.image_suffix,
        label_pattern=own.label_pattern,
        layout=own.layout,
        ignore=own.ignore or (),
        allow_empty=own.allow_empty or own.variant_of is not None,
        image_bits=own.image_bits,
        make_split=own.variant_of is None,
        ordered=own.ranks is not None or own.task == "ordinal",
    )
    test = splits.test or splits.unsplit
    notes: tuple[str, ...] = ()
    if splits.train is not None and splits.test is not None and not allow_duplicates:
        test, notes = _without_copies(splits, splits.test)
    return Benchmark(
        own.name,
        own.template,
        splits.class_names,
        splits.train,
        splits.val,
        test,
        variant_of=own.variant_of,
        made_by=splits.made_by,
        task=own.task,
        allow_equal_prompts=own.allow_equal_prompts,
        notes=notes,
        ranks=own.ranks,
    )


def _without_copies(splits: Splits, test: ImageDataset) -> tuple[ImageDataset, tuple[str, ...]]:
    """Test images that are no copies of others, and what to tell: the same test images for all shots and seeds."""
    others = [part.digests for part in (splits.train, splits.val) if part is not None]
    left, n_copies = test.without(np.concatenate(others))
    if len(left) == 0:
        raise DataError(
            f"All {len(test)} test images of '{test.source}' are copies of its training images (the same content): "
            f"nothing is left to test on. {option('--allow-duplicates', 'allow_duplicates=True')} tests on them all "
            "the same."
        )
    copies = f"{n_copies} of {len(test)} test images are copies of training images (the same file content) and left out"
    return left, (f"{copies}; {option('--allow-duplicates', 'allow_duplicates=True')} keeps them",) if n_copies else ()
