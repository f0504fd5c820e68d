"""Small data sets for the benchmark, drawn: one with validation images, one without, and a variant with fewer classes."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "square", "triangle", "cross", "bar")
SIGNS = ("arrow", "ring", "dot", "plus")


def draw(kind: str, rng: np.random.Generator, ink: int) -> Image.Image:
    """A shape in random place and size, 40 x 52 pixels, of dark or light ink."""
    ground = 255 - ink
    image = Image.new("RGB", (52, 40), tuple(int(abs(ground - v)) for v in rng.integers(0, 50, 3)))
    x, y, r = *rng.integers(16, 24, 2).tolist(), int(rng.integers(8, 14))
    colour = tuple(int(abs(ink - v)) for v in rng.integers(0, 110, 3))
    pen = ImageDraw.Draw(image)
    if kind in ("circle", "dot"):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif kind == "ring":
        pen.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=3)
    elif kind == "square":
        pen.rectangle((x - r, y - r, x + r, y + r), fill=colour)
    elif kind in ("triangle", "arrow"):
        pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
    elif kind in ("cross", "plus"):
        pen.line((x - r, y, x + r, y), fill=colour, width=4)
        pen.line((x, y - r, x, y + r), fill=colour, width=4)
    else:
        pen.line((x - r, y - r, x + r, y + r), fill=colour, width=5)
    return image


def write_set(folder: Path, classes: tuple[str, ...], counts: dict[str, int], seed: int, ink: int = 0) -> None:
    """`folder/PART/CLASS/N.png`."""
    rng = np.random.default_rng(seed)
    for part, n in counts.items():
        for kind in classes:
            home = folder / part / kind
            home.mkdir(parents=True)
            for i in range(n):
                draw(kind, rng, ink).save(home / f"{i}.png")


def write_data(folder: Path) -> Path:
    """The sets `shapes`, `signs` and `chalk`, and the YAML file that names them.

    The classes of `chalk` are not the first of `shapes`, so that their columns cannot be taken by place.
    """
    write_set(folder / "shapes", SHAPES, {"train": 7, "val": 2, "test": 3}, 17)
    write_set(folder / "signs", SIGNS, {"train": 5, "test": 3}, 19)
    write_set(folder / "chalk", ("circle", "triangle", "cross"), {"test": 2}, 23, ink=255)
    file = folder / "sets.yaml"
    file.write_text(
        'shapes: {path: shapes, template: "an icon of a {}."}\n'
        'signs: {path: signs, template: "a sign with a {}."}\n'
        'chalk: {path: chalk, template: "a chalk {}.", variant_of: shapes}\n'
    )
    return file
