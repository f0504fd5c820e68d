"""Miniature copies of the fifteen data sets' layouts, as the field has them on disk: a few coloured pixels per image.

The red of an image says its class, the green its number in the class, so that a label can be checked against the
picture itself.
"""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat


@dataclass(frozen=True)
class Miniature:
    """What was built."""

    folder: Path
    names: list[str]
    """Class names by label, as prompts say them."""
    counts: dict[str, int]
    """Images per part."""


def image(path: Path, label: int, index: int) -> None:
    """Write one image of a class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (10 * label + 5, index, 101)).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())


def label_in(picture: Image.Image) -> int:
    """The class that an image shows."""
    return (picture.getpixel((1, 1))[0] - 5) // 10


def class_folders(folder: Path, names: Sequence[str], counts: Sequence[int]) -> None:
    # Made from the last to the first: an order of making that passes for sorted would hide a missing sort.
    for label in reversed(range(len(names))):
        for index in reversed(range(counts[label])):
            image(folder / names[label] / f"image_{index:04d}.jpg", label, index)


def caltech101(folder: Path) -> Miniature:
    images = folder / "101_ObjectCategories"
    class_folders(images, ["Faces", "Leopards", "accordion", "airplanes", "sea_horse"], [5, 7, 11, 13, 17])
    class_folders(images, ["BACKGROUND_Google", "Faces_easy"], [3, 3])
    (images / ".DS_Store").write_text("litter")
    return Miniature(
        folder, ["face", "leopard", "accordion", "airplane", "sea horse"], {"train": 26, "val": 10, "test": 17}
    )


def food101(folder: Path) -> Miniature:
    class_folders(folder / "images", ["apple_pie", "baby_back_ribs", "waffles"], [10, 13, 21])
    return Miniature(folder, ["apple pie", "baby back ribs", "waffles"], {"train": 21, "val": 9, "test": 14})


def dtd(folder: Path) -> Miniature:
    # The classes and sizes of the authors' golden split.
    class_folders(folder / "images", ["banded", "dotted", "woven"], [10, 13, 21])
    return Miniature(folder, ["banded", "dotted", "woven"], {"train": 21, "val": 9, "test": 14})


def eurosat(folder: Path) -> Miniature:
    class_folders(folder / "2750", ["AnnualCrop", "Forest", "Highway", "SeaLake"], [5, 7, 11, 13])
    names = ["Annual Crop Land", "Forest", "Highway or Road", "Sea or Lake"]
    return Miniature(folder, names, {"train": 18, "val": 7, "test": 11})


def oxford_pets(folder: Path) -> Miniature:
    # Labels count breeds in another order than the alphabet's.
    breeds = ["Sphynx", "american_bulldog", "Bombay"]
    (folder / "annotations").mkdir(parents=True)
    for part, counts in (("trainval", [5, 7, 11]), ("test", [2, 3, 5])):
        lines = []
        for label in (1, 0, 2):
            for index in range(counts[label]):
                name = f"{breeds[label]}_{index + 100 * (part == 'test')}"
                lines.append(f"{name} {label + 1} 1 {label + 1}")
                image(folder / "images" / f"{name}.jpg", label, index)
        (folder / "annotations" / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return Miniature(folder, ["sphynx", "american bulldog", "bombay"], {"train": 19, "val": 4, "test": 10})


def stanford_cars(folder: Path) -> Miniature:
    models = ["Hummer SUV 2000", "Audi TT RS Coupe 2012", "Acura RL Sedan 2012"]
    (folder / "devkit").mkdir(parents=True)
    cells = np.empty((1, len(models)), dtype=object)
    cells[0, :] = models
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": cells})
    places = {"cars_train": "devkit/cars_train_annos.mat", "cars_test": "cars_test_annos_withlabels.mat"}
    for images, counts in (("cars_train", [5, 7, 3]), ("cars_test", [2, 3, 2])):
        labels = [label for label in (2, 0, 1) for _ in range(counts[label])]
        rows = np.zeros((1, len(labels)), dtype=[("bbox_x1", "O"), ("class", "O"), ("fname", "O")])
        for index, label in enumerate(labels):
            rows[0, index] = (1, label + 1, f"{index + 1:05d}.jpg")
            image(folder / images / f"{index + 1:05d}.jpg", label, index)
        savemat(folder / places[images], {"annotations": rows})
    names = ["2000 Hummer SUV", "2012 Audi TT RS Coupe", "2012 Acura RL Sedan"]
    return Miniature(folder, names, {"train": 12, "val": 3, "test": 7})


def flowers102(folder: Path) -> Miniature:
    folder.mkdir(parents=True)
    labels = [2, 3, 3, 1, 2, 2, 1, 3, 2, 2, 1, 1, 3, 3, 2, 3, 3, 1]  # 5 of class 1, 6 of 2, 7 of 3
    savemat(folder / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    (folder / "cat_to_name.json").write_text('{"3": "alpine sea holly", "1": "pink primrose", "2": "tiger lily"}')
    for index, label in enumerate(labels):
        image(folder / "jpg" / f"image_{index + 1:05d}.jpg", label - 1, index)
    return Miniature(folder, ["pink primrose", "tiger lily", "alpine sea holly"], {"train": 9, "val": 3, "test": 6})


def fgvc_aircraft(folder: Path) -> Miniature:
    folder.mkdir(parents=True)
    variants = ["BAE 146-200", "707-320", "Eurofighter Typhoon"]
    (folder / "variants.txt").write_text("\n".join(variants) + "\n")
    for number, (part, counts) in enumerate((("train", [5, 3, 2]), ("val", [2, 3, 1]), ("test", [3, 1, 7]))):
        lines = []
        for label in (2, 0, 1):
            for index in range(counts[label]):
                name = f"{number}{label}{index:05d}"
                lines.append(f"{name} {variants[label]}")
                image(folder / "images" / f"{name}.jpg", label, index)
        (folder / f"images_variant_{part}.txt").write_text("\n".join(lines) + "\n")
    return Miniature(folder, variants, {"train": 10, "val": 6, "test": 11})


def sun397(folder: Path) -> Miniature:
    places = ["/a/apartment_building/outdoor", "/y/youth_hostel", "/a/abbey"]
    (folder / "SUN397").mkdir(parents=True)
    (folder / "ClassName.txt").write_text("\n".join(places) + "\n")
    for part, counts in (("Training", [5, 7, 11]), ("Testing", [2, 3, 5])):
        lines = []
        for label in (1, 0, 2):
            for index in range(counts[label]):
                name = f"{places[label]}/sun_{part}{index}.jpg"
                lines.append(name)
                image(folder / "SUN397" / name[1:], label, index)
        (folder / f"{part}_01.txt").write_text("\n".join(lines) + "\n")
    return Miniature(
        folder, ["outdoor apartment building", "youth hostel", "abbey"], {"train": 19, "val": 4, "test": 10}
    )


def ucf101(folder: Path) -> Miniature:
    actions = {"ApplyEyeMakeup": "Apply_Eye_Makeup", "YoYo": "Yo_Yo", "TaiChi": "Tai_Chi"}
    (folder / "ucfTrainTestlist").mkdir(parents=True)
    lines = [f"{index + 1} {action}" for index, action in enumerate(actions)]
    (folder / "ucfTrainTestlist" / "classInd.txt").write_text("\r\n".join(lines) + "\r\n")
    for part, group, counts in (("train", 8, [5, 7, 3]), ("test", 1, [2, 3, 1])):
        lines = []
        for label, (action, frames) in enumerate(actions.items()):
            for index in range(counts[label]):
                video = f"v_{action}_g{group:02d}_c{index:02d}"
                lines.append(f"{action}/{video}.avi" + (f" {label + 1}" if part == "train" else ""))
                image(folder / "UCF-101-midframes" / frames / f"{video}.jpg", label, index)
        (folder / "ucfTrainTestlist" / f"{part}list01.txt").write_text("\n".join(lines) + "\n")
    return Miniature(folder, ["Apply Eye Makeup", "Yo Yo", "Tai Chi"], {"train": 12, "val": 3, "test": 6})


WORDS = {
    "n01440764": "tench",
    "n02085620": "chihuahua",
    "n03773504": "missile",
    "n04008634": "missile",
    "n15075141": "toilet paper",
}
"""Two classes are called the same, as some of the real list are."""


def classnames(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classnames.txt").write_text("".join(f"{name} {words}\n" for name, words in WORDS.items()))


def imagenet(folder: Path) -> Miniature:
    classnames(folder)
    class_folders(folder / "images" / "train", list(WORDS), [5, 3, 2, 7, 1])
    class_folders(folder / "images" / "val", list(WORDS), [2, 2, 2, 2, 2])
    return Miniature(folder, list(WORDS.values()), {"train": 18, "test": 10})


def imagenetv2(folder: Path) -> Miniature:
    # More than ten classes: folders sorted as text (0, 1, 10, 11, 2, ...) would be another order.
    words = [f"thing {label}" for label in range(12)]
    folder.mkdir(parents=True)
    (folder / "classnames.txt").write_text("".join(f"n{label:08d} thing {label}\n" for label in range(12)))
    counts = [2, 3, 1, 2, 5, 1, 1, 1, 1, 1, 2, 3]
    class_folders(folder / "imagenetv2-matched-frequency-format-val", [str(label) for label in range(12)], counts)
    return Miniature(folder, words, {"test": 23})


def imagenet_sketch(folder: Path) -> Miniature:
    classnames(folder)
    class_folders(folder / "images", list(WORDS), [2, 3, 1, 2, 5])
    return Miniature(folder, list(WORDS.values()), {"test": 13})


def imagenet_a(folder: Path) -> Miniature:
    classnames(folder)
    # 200 of ImageNet's classes have images; labels count those.
    class_folders(folder / "imagenet-a", ["n02085620", "n04008634"], [3, 5])
    (folder / "imagenet-a" / "README.txt").write_text("read me")
    return Miniature(folder, ["chihuahua", "missile"], {"test": 8})


def imagenet_r(folder: Path) -> Miniature:
    classnames(folder)
    class_folders(folder / "imagenet-r", ["n01440764", "n03773504", "n15075141"], [3, 5, 2])
    return Miniature(folder, ["tench", "missile", "toilet paper"], {"test": 10})


LAYOUTS: dict[str, Callable[[Path], Miniature]] = {
    "imagenet": imagenet, "caltech101": caltech101, "oxford-pets": oxford_pets, "stanford-cars": stanford_cars,
    "flowers102": flowers102, "food101": food101, "fgvc-aircraft": fgvc_aircraft, "sun397": sun397, "dtd": dtd,
    "eurosat": eurosat, "ucf101": ucf101, "imagenetv2": imagenetv2, "imagenet-sketch": imagenet_sketch,
    "imagenet-a": imagenet_a, "imagenet-r": imagenet_r,
}  # fmt: skip


def write_split(path: Path, rows: dict[str, list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows))
