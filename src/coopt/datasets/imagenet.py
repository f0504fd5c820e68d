"""Readers of ImageNet and its four variants: class folders, and `classnames.txt` with the words for them."""

from pathlib import Path

from coopt.data.wording import some
from coopt.datasets.facts import BenchmarkFacts, Item, Listing
from coopt.datasets.readers import class_folders, images_of, lines
from coopt.errors import DataError


def read_imagenet(folder: Path, facts: BenchmarkFacts) -> Listing:
    """`images/train` and `images/val`, each with a folder per class; the validation images are the test part.

    The authors' code uses them as validation images too; here there is no validation part, so that nothing can be
    chosen on test images.
    """
    parts = {}
    classes: list[str] = []
    for part, source in (("train", "train"), ("test", "val")):
        items, found = _read_folders(folder, f"{facts.images}/{source}")
        if classes and found != classes:
            different = sorted(set(classes) ^ set(found))
            raise DataError(
                f"'{folder / facts.images}' has class folders in only one of train/ and val/: {some(different)}. The "
                f"validation images must be sorted into class folders as the training images are."
            )
        parts[part], classes = items, found
    return Listing(parts, "the official one; ImageNet's validation images are the test part", classes)


def read_imagenet_folders(folder: Path, facts: BenchmarkFacts) -> Listing:
    """A variant with folders named as ImageNet's, of some classes or all: labels count its own folders."""
    items, classes = _read_folders(folder, facts.images)
    return Listing({"test": items}, "all images test", classes)


def read_imagenet_v2(folder: Path, facts: BenchmarkFacts) -> Listing:
    """Folders 0, 1, 2, ...: the position of the class in `classnames.txt`."""
    words = read_classnames(folder)
    items = []
    for label, name in enumerate(words.values()):
        below = f"{facts.images}/{label}"
        if not (folder / below).is_dir():
            raise DataError(
                f"The class folder '{folder / below}' ({name}) does not exist; classnames.txt lists "
                f"{len(words)} classes, and each has a folder from 0 to {len(words) - 1}."
            )
        items += [Item(path, label, name) for path in images_of(folder, below)]
    return Listing({"test": items}, "all images test", list(words))


def _read_folders(folder: Path, below: str) -> tuple[list[Item], list[str]]:
    words = read_classnames(folder)
    classes = class_folders(folder / below)
    unknown = [name for name in classes if name not in words]
    if unknown:
        raise DataError(f"classnames.txt in '{folder}' has no words for the class folders {some(unknown)}.")
    items = [
        Item(path, label, words[name])
        for label, name in enumerate(classes)
        for path in images_of(folder, f"{below}/{name}")
    ]
    return items, classes


def read_classnames(folder: Path) -> dict[str, str]:
    """Words by class folder, from lines such as `n01440764 tench`.

    A variant's folder may lack the file: the one in the folder `imagenet` next to it is then read.
    """
    own, shared = folder / "classnames.txt", folder.parent / "imagenet" / "classnames.txt"
    path = shared if not own.is_file() and shared.is_file() else own
    words = {}
    for line in lines(path):
        name, _, rest = line.partition(" ")
        if not rest:
            raise DataError(f"'{path}' has the line {line!r}; a line is a class folder and its words.")
        words[name] = rest.strip()
    return words
