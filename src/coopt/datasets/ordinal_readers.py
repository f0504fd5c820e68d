"""Readers of the data sets whose labels are numbers or ordered categories: faces with ages, photographs with scores.

Labels are numbered in the order of their values. Images whose annotation has no label that can be used are left out and
counted in the words that say where the split comes from.
"""

import csv
import io
import posixpath
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from coopt.data.wording import count
from coopt.datasets.facts import BenchmarkFacts, Item, Listing
from coopt.datasets.readers import class_folders, fields, images_of, lines, text
from coopt.datasets.splits import PARTS, SPLIT_SEED, three_way
from coopt.errors import DataError

Labelled = tuple[str, str]
"""An image's path below the data set's folder, and its label."""
ADIENCE_AGES = {
    "(0, 2)": "0-2", "(4, 6)": "4-6", "(8, 12)": "8-12", "(15, 20)": "15-20", "(25, 32)": "25-32", "(38, 43)": "38-43",
    "(48, 53)": "48-53", "(60, 100)": "60-100",
}  # fmt: skip
"""The eight groups of ages, as the lists write them and as labels."""
N_FOLDS = 5


def read_morph(folder: Path, facts: BenchmarkFacts) -> Listing:
    """OrdinalCLIP's lists of Album2, lines `image.jpg 34` (or several ages, of which the middle one counts).

    The list of validation images is the list of test images too, as in the authors' configuration.
    """

    def items(name: str) -> list[Labelled]:
        found = []
        for line in lines(folder / "data_list" / name):
            image, *ages = line.split()
            if not ages or not all(age.isdigit() for age in ages):
                raise DataError(
                    f"'{folder / 'data_list' / name}' has the line {line!r}; an image and its age belong there."
                )
            found.append((image, ages[len(ages) // 2]))
        return found

    parts = {"train": items("ET_proto_train.txt"), "test": items("ET_proto_val.txt")}
    return listing(parts, "OrdinalCLIP's lists of Album2")


def read_utkface(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Images `AGE_GENDER_RACE_DATE.jpg`; no split is published, so they are shuffled and cut 50/20/30."""
    found, n_left_out = [], 0
    for path in images_of(folder, facts.images):
        age = path.rsplit("/", 1)[-1].split("_")[0]
        if age.isdigit():
            found.append((path, str(int(age))))
        else:
            n_left_out += 1
    return shuffled(found, n_left_out)


def read_adience(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Five lists with a header (user_id, original_image, face_id, age, ...) and tabs; the last digit of the data set's
    name says which one is tested on, the others are learned from.
    """
    tested = int(facts.name[-1])
    parts: dict[str, list[Labelled]] = {"train": [], "test": []}
    n_left_out = 0
    for fold in range(N_FOLDS):
        for row in table(folder / f"fold_{fold}_data.txt", ("user_id", "original_image", "face_id", "age"), "\t"):
            if row["age"] not in ADIENCE_AGES:
                n_left_out += 1
                continue
            image = f"{facts.images}/{row['user_id']}/landmark_aligned_face.{row['face_id']}.{row['original_image']}"
            parts["test" if fold == tested else "train"].append((image, ADIENCE_AGES[row["age"]]))
    order = list(ADIENCE_AGES.values())
    made_by = f"the official folds, tested on fold {tested}{left_out(n_left_out, 'an age of no group')}"
    return listing(parts, made_by, order)


def read_decades(folder: Path, facts: BenchmarkFacts) -> Listing:
    """A folder per decade (1930s to 1970s), 50/20/30 per decade."""
    names = class_folders(folder / facts.images)
    paths = [(label, posixpath.join(facts.images, name)) for label, name in enumerate(names)]
    return three_way([Item(path, label, names[label]) for label, home in paths for path in images_of(folder, home)])


def read_koniq(folder: Path, facts: BenchmarkFacts) -> Listing:
    """`koniq10k_distributions_sets.csv`, with the columns image_name, MOS (1 to 100) and set."""
    ours = {"training": "train", "validation": "val", "test": "test"}
    parts: dict[str, list[Labelled]] = {part: [] for part in PARTS}
    path = folder / "koniq10k_distributions_sets.csv"
    for row in table(path, ("image_name", "MOS", "set"), ","):
        if row["set"] not in ours:
            raise DataError(f"'{path}' has the set {row['set']!r}; allowed are {', '.join(ours)}.")
        parts[ours[row["set"]]].append((f"{facts.images}/{row['image_name']}", row["MOS"]))
    return listing(parts, "the official sets")


def read_aadb(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Lists with lines `image.jpg 0.45`, for training, validation and the new test images."""
    names = {"train": "Train", "val": "Validation", "test": "TestNew"}
    parts: dict[str, list[Labelled]] = {}
    for part, name in names.items():
        path = folder / "imgListFiles_label" / f"imgList{name}Regression_score.txt"
        home = "AADB_newtest_originalSize" if part == "test" else facts.images
        parts[part] = [(f"{home}/{image}", score) for image, score in (fields(line, 2, path) for line in lines(path))]
    return listing(parts, "the official lists")


def listing(parts: Mapping[str, Sequence[Labelled]], made_by: str, order: Sequence[str] | None = None) -> Listing:
    """Items with numbers for labels: in `order`, or as numbers rise.

    Raises:
        DataError: a label is no number.
    """
    distinct = {label for items in parts.values() for _, label in items}
    if order is None:
        try:
            order = sorted(distinct, key=lambda label: (float(label), label))
        except ValueError:
            wrong = next(label for label in sorted(distinct) if not label.replace(".", "", 1).isdigit())
            raise DataError(
                f"The annotations have the label {wrong!r}, which is no number. Fetch them again."
            ) from None
    number = {label: place for place, label in enumerate(label for label in order if label in distinct)}
    items = {part: [Item(path, number[label], label) for path, label in found] for part, found in parts.items()}
    return Listing(items, made_by, list(number))


def shuffled(found: Sequence[Labelled], n_left_out: int) -> Listing:
    """Images in a random order of the usual seed, cut 50/20/30: many numbers have too few images to cut each."""
    mixed = sorted(found)
    random.Random(SPLIT_SEED).shuffle(mixed)
    ends = [0, round(0.5 * len(mixed)), round(0.7 * len(mixed)), len(mixed)]
    parts = {part: mixed[ends[i] : ends[i + 1]] for i, part in enumerate(PARTS)}
    made_by = (
        f"coopt: all images shuffled with seed {SPLIT_SEED}, 50/20/30 %{left_out(n_left_out, 'no age in the name')}"
    )
    return listing(parts, made_by)


def left_out(n: int, why: str) -> str:
    """How many images are not used, for the words that say where a split comes from."""
    return f"; {count(n, 'image', 'images')} with {why} left out" if n else ""


def table(path: Path, columns: Sequence[str], delimiter: str) -> list[dict[str, str]]:
    """The rows of a text table, by column.

    Raises:
        DataError: it is missing, or lacks a column.
    """
    rows = list(csv.DictReader(io.StringIO(text(path)), delimiter=delimiter))
    absent = [name for name in columns if rows and rows[0].get(name) is None]
    if not rows or absent:
        what = f"has no column {absent[0]!r}" if absent else "has no rows"
        raise DataError(f"The annotation file '{path}' {what}. Fetch it again.")
    return [{name: (row[name] or "").strip() for name in columns} for row in rows]
