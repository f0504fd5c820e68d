"""Unpack the textile images of the package `conformal-clip-data` into class folders.

    python tools/textiles.py OUT [--wheel FILE]

makes OUT/train/nominal/textile_0001.jpg ... (2,000 simulated weave textures of 250 x 250 pixels: 1,000
nominal, 500 with a local defect, 500 with a global shift; split 70/30 per class by a fixed seed),
OUT/class_names.json with words for the three classes, and OUT/LICENSE. The package's wheel is the given file, or one
that pip downloads. The images were made with the R package spc4sts and
published under the MIT licence with Megahed et al., "Adapting OpenAI's CLIP Model for Few-Shot Image
Inspection in Manufacturing Quality Control" (arXiv:2501.12596).
"""

import argparse
import tempfile
from pathlib import Path

from coopt.datasets.makers.textiles import make_textiles, write_textiles
from coopt.datasets.unpack import unpack
from coopt.errors import DataError


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--wheel", type=Path, help="the package's wheel, where there is no network")
    arguments = parser.parse_args()
    out = arguments.out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        parser.error(f"'{out}' exists already; remove it or name another folder")
    try:
        if arguments.wheel is None:
            make_textiles(out)
        else:
            with tempfile.TemporaryDirectory() as package:
                unpack(arguments.wheel, Path(package))
                write_textiles(Path(package), out)
    except (DataError, OSError) as error:
        parser.error(f"{error} Without a network, give the package's wheel with --wheel FILE")
    print(f"textile images of 3 classes in {out}")


if __name__ == "__main__":
    main()
