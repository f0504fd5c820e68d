"""The solar cells of the package `elpv-dataset` in folders by grade: real images with an ordered label.

2,624 electroluminescence images of 300 x 300 pixels of cells from 44 modules; experts gave each cell a probability of
being defective (0, 1/3, 2/3, 1). S. Deitsch et al., "Segmentation of Photovoltaic Module Cells in Uncalibrated
Electroluminescence Images" (Machine Vision and Applications, 2021). The licence, CC BY-NC-SA 4.0, allows no commercial
use: the images are fetched by the user, and no part of them comes with coopt.
"""

import shutil
from pathlib import Path

from coopt.data.sampling import split_train_val_test
from coopt.datasets.makers.packages import SOLAR_CELLS, open_package, read_file
from coopt.errors import DataError
from coopt.files import atomic_folder, write_json

DATA = "elpv_dataset/data"
GRADES = ("0.0", "0.3333333333333333", "0.6666666666666666", "1.0")
"""As the package's table writes the probability of a defect; the folders are called 0 to 3."""
WORDS = ("functional", "slightly damaged", "damaged", "defective")


def make_solar_cells(folder: Path) -> Path:
    """Fetch the package and write its images, split 70/30 per grade by a fixed seed."""
    with open_package(SOLAR_CELLS) as package:
        write_solar_cells(package, folder)
    return folder


def write_solar_cells(package: Path, out: Path) -> None:
    """Write the images of an unpacked package to `out/{train,test}/{0,1,2,3}`."""
    rows = [line.split() for line in read_file(package, f"{DATA}/labels.csv").decode().splitlines() if line.strip()]
    if not rows or any(len(row) != 3 or row[1] not in GRADES for row in rows):
        raise DataError(
            f"The table {DATA}/labels.csv of the package is not 'image probability type' with the probabilities "
            f"{', '.join(GRADES)}; another version was expected."
        )
    labels = [GRADES.index(probability) for _, probability, _ in rows]
    train, _, test = split_train_val_test(labels, 1, (0.7, 0.0, 0.3))
    with atomic_folder(out) as folder:
        for part, indices in (("train", train), ("test", test)):
            for index in indices.tolist():
                file = package / DATA / rows[index][0]
                target = folder / part / str(labels[index]) / file.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        write_json(
            folder / "class_names.json", {str(grade): f"{words} solar cell" for grade, words in enumerate(WORDS)}
        )
        shutil.copyfile(next(package.rglob("LICENSE*")), folder / "LICENSE.md")
