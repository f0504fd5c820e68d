"""Checking that a data set is there, complete, and the one that the papers report on."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from coopt.data.wording import count, some
from coopt.datasets.facts import REMEMBERED, BenchmarkFacts
from coopt.datasets.load import class_names_of, read_listing
from coopt.datasets.table import find_benchmark
from coopt.errors import DataError


@dataclass
class Check:
    """What `check_benchmark` found out about a data set."""

    name: str
    folder: str
    problems: list[str] = field(default_factory=list)
    """What keeps the data set from being used as the papers do."""
    notes: list[str] = field(default_factory=list)
    """What a user should know."""
    n_classes: int | None = None
    n_images: dict[str, int] = field(default_factory=dict)
    """How many images each part has."""
    made_by: str = ""
    """Where the split comes from."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check_benchmark(name: str, root: Path | str) -> Check:
    """Look for everything that a data set needs, count it, and compare with the facts.

    Raises:
        DataError: no data set has this name.
    """
    facts = find_benchmark(name)
    folder = Path(root) / facts.folder
    check = Check(facts.name, str(folder))
    if not folder.is_dir():
        check.problems.append(f"the folder '{folder}' does not exist")
        return check
    check.problems += _missing(facts, folder)
    try:
        listing = read_listing(facts, Path(root))
        names, _ = class_names_of(listing, facts)
    except DataError as error:
        if not check.problems:
            check.problems.append(str(error))
        return check
    check.n_classes, check.made_by = len(names), listing.made_by
    check.n_images = {part: len(items) for part, items in listing.parts.items()}
    _compare(check, facts)
    images = (item.path for items in listing.parts.values() for item in items)
    if absent := [path for path in images if not os.path.exists(folder / path)]:
        words = count(len(absent), "listed image is", "listed images are")
        check.problems.append(f"{words} not there: {some(absent, 3)}")
    if facts.split_file is not None and not (folder / facts.split_file).is_file():
        check.notes.append(
            f"{facts.split_file} is missing: the split was made by the authors' rule, but its images are not those of "
            f"published results (`coopt datasets fetch {facts.name}` brings the shared one)"
        )
    return check


def _missing(facts: BenchmarkFacts, folder: Path) -> list[str]:
    needed = [facts.images] if facts.images else []
    if facts.split_file is None or not (folder / facts.split_file).is_file():
        needed += facts.needs
    if "classnames.txt" in needed and (folder.parent / "imagenet" / "classnames.txt").is_file():
        needed.remove("classnames.txt")  # ImageNet's serves its variants
    absent = [path for path in needed if not (folder / path).exists()]
    return [f"'{folder / path}' does not exist" for path in absent]


def _compare(check: Check, facts: BenchmarkFacts) -> None:
    if facts.n_classes is not None and check.n_classes != facts.n_classes:
        check.problems.append(f"{check.n_classes} classes; {facts.n_classes} are expected")
    for part, expected in facts.counts.items():
        found = check.n_images.get(part, 0)
        if expected is None or found == expected:
            continue
        text = f"{count(found, f'{part} image', f'{part} images')}; {expected:,} are expected"
        if facts.certainty == REMEMBERED:
            check.notes.append(f"{text} (a number from memory: no source was at hand)")
        else:
            check.problems.append(text)
