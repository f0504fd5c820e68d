"""A small image data set for the tests of whole commands: three classes of drawn shapes, made deterministically."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

CLASSES = ("circle", "square", "triangle")


def draw(kind: str, rng: np.random.Generator) -> Image.Image:
    """A shape in random place, size and colour, 40 x 52 pixels."""
    image = Image.new("RGB", (52, 40), tuple(rng.integers(200, 256, 3).tolist()))
    x, y, r = *rng.integers(14, 26, 2).tolist(), int(rng.integers(8, 13))
    colour = tuple(rng.integers(0, 110, 3).tolist())
    pen = ImageDraw.Draw(image)
    if kind == "circle":
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif kind == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=colour)
    else:
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
    return image


def shapes_folder(folder: Path, n_train: int = 7, n_test: int = 5) -> Path:
    """`folder/{train,test}/{circle,square,triangle}/N.png`."""
    rng = np.random.default_rng(17)
    for split, n in (("train", n_train), ("test", n_test)):
        for kind in CLASSES:
            home = folder / split / kind
            home.mkdir(parents=True)
            for i in range(n):
                draw(kind, rng).save(home / f"{i}.png")
    return folder
