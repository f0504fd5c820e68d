"""scikit-learn's handwritten digits as PNG files in class folders: a small set of real images that needs no network."""

from pathlib import Path

import numpy as np
from PIL import Image

from coopt.data.sampling import split_train_val_test
from coopt.files import atomic_folder, write_json

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SEED = 1
FRACTIONS = (0.7, 0.0, 0.3)
SIZE = 64


def write_digits(out: Path) -> dict[str, int]:
    """Write `out/{train,test}/{0..9}/*.png` and `out/class_names.json`; the answer counts the images per part.

    1,797 images of 8 x 8 pixels, enlarged to 64 x 64, split 70/30 per class by a fixed seed: the test part of "Optical
    Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, CC BY 4.0).

    Args:
        out: must not exist, or be an empty folder.
    """
    from sklearn.datasets import load_digits  # its import takes a second that other commands need not wait for

    digits = load_digits()
    train, _, test = split_train_val_test(digits.target, SEED, FRACTIONS)
    with atomic_folder(out) as folder:
        for part, indices in (("train", train), ("test", test)):
            for index in indices.tolist():
                target = folder / part / str(digits.target[index])
                target.mkdir(parents=True, exist_ok=True)
                # The values run from 0 to 16; ink is dark on paper, as in a photograph.
                grey = 255 - np.round(digits.images[index] * (255 / 16)).astype(np.uint8)  # (8, 8)
                image = Image.fromarray(grey).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
                image.save(target / f"{index:04d}.png")
        write_json(folder / "class_names.json", {str(digit): word for digit, word in enumerate(WORDS)})
    return {"train": len(train), "test": len(test)}
