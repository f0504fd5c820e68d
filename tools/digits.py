"""Write scikit-learn's handwritten digits as PNG files in class folders: a small set of real images that
needs no network.

    python tools/digits.py OUT

makes OUT/train/0/0000.png ... OUT/test/9/1796.png and OUT/class_names.json, which gives each label its word:
`coopt fit OUT --class-names OUT/class_names.json`.
"""

import argparse
from pathlib import Path

from coopt.datasets.makers.scanned import write_digits


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
