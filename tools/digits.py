"""Write scikit-learn's handwritten digits as PNG files in class folders: a small set of real images that
needs no network.

    python tools/digits.py OUT

makes OUT/train/0/0000.png ... OUT/test/9/1796.png (1,797 images of 8 x 8 pixels, enlarged to 64 x 64, split 70/30 per
class by a fixed seed) and OUT/class_names.json, which gives each label its word: `coopt fit OUT --class-names
OUT/class_names.json`. The digits are the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin and
C. Kaynak, UCI Machine Learning Repository, CC BY 4.0), as scikit-learn ships them.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from coopt.data import split_train_val_test
from coopt.files import atomic_folder, write_json

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SEED = 1
FRACTIONS = (0.7, 0.0, 0.3)
SIZE = 64


def write_digits(out: Path) -> dict[str, int]:
    """Write the folders below `out`, which must not exist or be empty; the answer counts the images per part."""
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


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to make")
    out = parser.parse_args().out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        parser.error(f"'{out}' exists already; remove it or name another folder")
    counts = write_digits(out)
    print(f"{counts['train']} training and {counts['test']} test images of 10 digits in {out}")


if __name__ == "__main__":
    main()
