"""One small reader per annotation format; each lists images in the order of the authors' code.

They are used where a data set lacks the split file that the field shares: they read the original annotations and split
by the authors' rule.
"""

import json
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coopt.data.formats import is_image_name
from coopt.data.load import load_dataset
from coopt.data.wording import some
from coopt.datasets.facts import BenchmarkFacts, Item, Listing
from coopt.datasets.splits import held_out_val, three_way
from coopt.errors import DataError, did_you_mean


def read_class_folders(folder: Path, facts: BenchmarkFacts) -> Listing:
    """A folder per class, 50/20/30 per class (Caltech101, Food101, DTD, EuroSAT)."""
    names = [name for name in class_folders(folder / facts.images) if name not in facts.leave_out]
    items = [
        Item(path, label, facts.rename.get(name, name))
        for label, name in enumerate(names)
        for path in images_of(folder, posixpath.join(facts.images, name))
    ]
    return three_way(items)


def read_made(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Class folders below `train` and `test`, or only `test`, as our own makers write them."""
    names = folder / "class_names.json"
    splits = load_dataset(folder, class_names=names if names.is_file() else None, make_split=False)
    parts = {}
    for part, dataset in splits.parts.items():
        assert dataset.labels is not None  # required when reading
        paths = [f"{part}/{dataset.name(index).removeprefix(f'{part}/')}" for index in range(len(dataset))]
        parts[part] = [Item(p, n, dataset.class_names[n]) for p, n in zip(paths, dataset.labels.tolist(), strict=True)]
    return Listing(parts, "the package's pictures, split by our own script", splits.any.class_labels)


def read_pets(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Lists with lines `Abyssinian_100 1 1 1`: image, label from 1, species, breed of the species."""

    def items(name: str) -> list[Item]:
        found = []
        for line in lines(folder / "annotations" / name):
            image, label = fields(line, 4, folder / "annotations" / name)[:2]
            breed = image.rsplit("_", 1)[0].lower()
            found.append(Item(f"{facts.images}/{image}.jpg", number(label, line) - 1, breed))
        return found

    return held_out_val(items("trainval.txt"), items("test.txt"), facts)


def read_cars(folder: Path, facts: BenchmarkFacts) -> Listing:
    """MATLAB tables of annotations; a class 'Audi TT RS Coupe 2012' is called '2012 Audi TT RS Coupe'."""
    meta = matlab(folder / "devkit" / "cars_meta.mat", "class_names")
    names = [str(cell[0]) for cell in meta]

    def items(images: str, annotations: Path) -> list[Item]:
        found = []
        for row in matlab(annotations, "annotations"):
            label = int(row["class"][0, 0]) - 1
            if not 0 <= label < len(names):
                raise DataError(f"'{annotations}' has class {label + 1}; cars_meta.mat names {len(names)} classes.")
            model, year = names[label].rsplit(" ", 1)
            found.append(Item(f"{images}/{row['fname'][0]}", label, f"{year} {model}"))
        return found

    trainval = items("cars_train", folder / "devkit" / "cars_train_annos.mat")
    return held_out_val(trainval, items("cars_test", folder / "cars_test_annos_withlabels.mat"), facts)


def read_flowers(folder: Path, facts: BenchmarkFacts) -> Listing:
    """`imagelabels.mat` has the label, from 1, of image_00001.jpg onwards; `cat_to_name.json` names the labels."""
    try:
        names = json.loads(text(folder / "cat_to_name.json"))
    except json.JSONDecodeError as error:
        raise DataError(f"'{folder / 'cat_to_name.json'}' is not readable JSON: {error}. Fetch it again.") from error
    labels = [int(label) for label in matlab(folder / "imagelabels.mat", "labels")]
    unknown = sorted({str(label) for label in labels if str(label) not in names})
    if unknown:
        raise DataError(f"'{folder / 'cat_to_name.json'}' does not name the labels {some(unknown)}.")
    items = [
        Item(f"{facts.images}/image_{index:05d}.jpg", label - 1, names[str(label)])
        for index, label in enumerate(labels, start=1)
    ]
    return three_way(items)


def read_aircraft(folder: Path, facts: BenchmarkFacts) -> Listing:
    """`variants.txt` lists the classes in order; lists with lines `1025794 707-320`."""
    names = lines(folder / "variants.txt")
    label = {name: index for index, name in enumerate(names)}

    def items(part: str) -> list[Item]:
        path = folder / f"images_variant_{part}.txt"
        found = []
        for line in lines(path):
            image, _, name = line.partition(" ")
            if name not in label:
                raise DataError(
                    f"'{path}' names the class {name!r}, which variants.txt lacks.{did_you_mean(name, label)}"
                )
            found.append(Item(f"{facts.images}/{image}.jpg", label[name], name))
        return found

    return Listing({part: items(part) for part in ("train", "val", "test")}, "the official lists")


def read_sun(folder: Path, facts: BenchmarkFacts) -> Listing:
    """`ClassName.txt` lists the classes as paths; `/a/apartment_building/outdoor` is "outdoor apartment_building"."""
    classes = [line.removeprefix("/") for line in lines(folder / "ClassName.txt")]
    label = {name: index for index, name in enumerate(classes)}

    def items(name: str) -> list[Item]:
        found = []
        for line in lines(folder / name):
            image = line.removeprefix("/")
            place = image.rsplit("/", 1)[0]
            if place not in label:
                raise DataError(f"'{folder / name}' names the class '/{place}', which ClassName.txt lacks.")
            words = " ".join(reversed(place.split("/")[1:]))  # the first part is the letter it is filed under
            found.append(Item(f"{facts.images}/{image}", label[place], words))
        return found

    return held_out_val(items("Training_01.txt"), items("Testing_01.txt"), facts)


def read_ucf(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Lists of videos, `ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 1`; the middle frame is in Apply_Eye_Makeup/."""
    lists = folder / "ucfTrainTestlist"
    label = {}
    for line in lines(lists / "classInd.txt"):
        index, name = fields(line, 2, lists / "classInd.txt")
        label[name] = number(index, line) - 1

    def items(name: str) -> list[Item]:
        found = []
        for line in lines(lists / name):
            action, _, video = line.split(" ")[0].partition("/")
            if action not in label:
                raise DataError(f"'{lists / name}' names the class {action!r}, which classInd.txt lacks.")
            words = "_".join(re.findall("[A-Z][^A-Z]*", action))
            found.append(Item(f"{facts.images}/{words}/{video.replace('.avi', '.jpg')}", label[action], words))
        return found

    return held_out_val(items("trainlist01.txt"), items("testlist01.txt"), facts)


def class_folders(folder: Path) -> list[str]:
    """The visible folders of a folder, sorted by text."""
    if not folder.is_dir():
        raise DataError(f"The folder '{folder}' does not exist. `coopt datasets check` says what else is missing.")
    names = sorted(child.name for child in folder.iterdir() if not child.name.startswith(".") and child.is_dir())
    if not names:
        raise DataError(f"The folder '{folder}' has no class folders.")
    return names


def images_of(root: Path, below: str) -> list[str]:
    """The images of one class folder, as paths below `root`, sorted (the authors take the disk's order)."""
    names = sorted(child.name for child in (root / below).iterdir() if is_image_name(child.name))
    if not names:
        raise DataError(f"The class folder '{root / below}' has no images.")
    return [f"{below}/{name}" for name in names]


def need(path: Path) -> None:
    """Refuse to go on without an annotation file."""
    if not path.is_file():
        raise DataError(
            f"The annotation file '{path}' does not exist. `coopt datasets check` says what else is missing, "
            f"`coopt datasets fetch` brings it."
        )


def text(path: Path) -> str:
    """The content of an annotation file."""
    need(path)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"The annotation file '{path}' is not UTF-8 text: {error}. Fetch it again.") from error


def lines(path: Path) -> list[str]:
    """The lines of an annotation file that are not empty, stripped."""
    return [line.strip() for line in text(path).splitlines() if line.strip()]


def fields(line: str, n: int, path: Path) -> list[str]:
    """The words of a line, of which there must be `n`."""
    words = line.split()
    if len(words) != n:
        raise DataError(f"'{path}' has the line {line!r}; {n} words are expected.")
    return words


def number(word: str, line: str) -> int:
    """A whole number of a line."""
    if not word.isdigit():
        raise DataError(f"The annotation line {line!r} has {word!r} where a whole number is expected.")
    return int(word)


def matlab(path: Path, key: str) -> Sequence[Any]:
    """A row of a MATLAB file."""
    from scipy.io import loadmat  # its import takes a moment that other data sets need not wait for

    need(path)
    try:
        return list(loadmat(path)[key][0])
    except Exception as error:  # scipy raises many kinds for a damaged file
        raise DataError(f"'{path}' cannot be read as a MATLAB file with '{key}': {error}. Fetch it again.") from error
