"""The textile images of the package `conformal-clip-data` in class folders.

2,000 simulated weave textures of 250 x 250 pixels (1,000 nominal, 500 with a local defect, 500 with a global shift),
made with the R package spc4sts and published under the MIT licence with Megahed et al., "Adapting OpenAI's CLIP Model
for Few-Shot Image Inspection in Manufacturing Quality Control" (arXiv:2501.12596).
"""

import shutil
from pathlib import Path

from coopt.data.sampling import split_train_val_test
from coopt.datasets.makers.packages import TEXTILES, open_package
from coopt.errors import DataError
from coopt.files import atomic_folder, write_json

IMAGES = "conformal_clip_data/data/textile_images/simulated"
WORDS = {
    "nominal": "textile without a defect",
    "local": "textile with a local defect",
    "global": "textile with a global defect",
}


def make_textiles(folder: Path) -> Path:
    """Fetch the package and write its images, split 70/30 per class by a fixed seed."""
    with open_package(TEXTILES) as package:
        write_textiles(package, folder)
    return folder


def write_textiles(package: Path, out: Path) -> None:
    """Write the images of an unpacked package to `out/{train,test}/{nominal,local,global}`."""
    files = [file for label in WORDS for file in sorted((package / IMAGES).glob(f"**/{label}/*.jpg"))]
    if not files:
        raise DataError(f"The package has no images in {IMAGES}/.")
    labels = [list(WORDS).index(file.parent.name) for file in files]
    train, _, test = split_train_val_test(labels, 1, (0.7, 0.0, 0.3))
    with atomic_folder(out) as folder:
        for part, indices in (("train", train), ("test", test)):
            for file in (files[index] for index in indices.tolist()):
                target = folder / part / file.parent.name / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        write_json(folder / "class_names.json", WORDS)
        shutil.copyfile(next(package.rglob("*LICENSE")), folder / "LICENSE")
