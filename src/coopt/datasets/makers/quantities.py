"""Sets of the suite `ordinal-offline` that are drawn: a picture's label is a number.

| set | what is drawn | numbers |
| --- | --- | --- |
| dots | so many round dots of one size, on a plain ground | 1 to 10 |
| icon-counts | so many copies of one icon | 1 to 10 |
| icon-angles | an upright icon that is turned to the left by so many degrees | 0 to 120 by 10 |

Each number has 64 pictures to learn on and 30 to test on. Sizes, places, inks and grounds are drawn by chance from a
fixed seed. The icons are Font Awesome's solid ones, which the built-in model has never seen; those of the test pictures
are others than those of the training pictures. The makers of the icon sets raise what those of the demo's sets do.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw

from coopt.datasets.makers import demo
from coopt.errors import DataError
from coopt.files import atomic_folder, write_json

SIZE = 64
N_TRAIN, N_TEST = 64, 30
COUNTS = range(1, 11)
ANGLES = range(0, 121, 10)
CELLS = 4
"""Icons are counted in a grid of so many cells each way, of which some are filled."""
OVERSAMPLED = 4
TRAIN_ICONS = (
    "star", "heart", "bell", "tree", "house", "fish-fins", "cat", "crown", "gem", "trophy", "apple-whole", "lightbulb",
    "umbrella", "leaf", "flask", "church",
)  # fmt: skip
TEST_ICONS = ("dog", "feather", "ice-cream", "mosque", "seedling", "bottle-droplet", "play", "chess-knight")
UPRIGHT_TRAIN = (
    "arrow-up", "angles-up", "hand-point-up", "person", "umbrella", "tree", "wine-glass", "lightbulb", "bell", "church",
    "flask", "trophy", "plane-up", "crown",
)  # fmt: skip
UPRIGHT_TEST = ("up-long", "thumbs-up", "chess-rook", "house", "ice-cream", "location-pin", "mosque")

Draw = Callable[[int, str, random.Random], Image.Image]
"""A picture of a number, for "train" or "test"."""


def make_dots(folder: Path) -> Path:
    """Draw 1 to 10 dots."""
    return write_numbers(folder, "dots", "drawn by coopt", COUNTS, lambda n, part, chance: draw_dots(n, chance))


def make_icon_counts(folder: Path) -> Path:
    """Draw 1 to 10 copies of an icon."""
    names = {"train": TRAIN_ICONS, "test": TEST_ICONS}
    return write_numbers(folder, "icon-counts", package(), COUNTS, lambda n, part, c: draw_icons(n, names[part], c))


def make_icon_angles(folder: Path) -> Path:
    """Draw icons that are turned by 0 to 120 degrees."""
    names = {"train": UPRIGHT_TRAIN, "test": UPRIGHT_TEST}
    return write_numbers(folder, "icon-angles", package(), ANGLES, lambda n, part, c: draw_turned(n, names[part], c))


def write_numbers(folder: Path, name: str, source: str, numbers: range, draw: Draw) -> Path:
    """Write `folder/{train,test}/NUMBER/*.png`; the same name draws the same pictures."""
    chance = random.Random(name)
    with atomic_folder(folder) as out:
        for path, number, part in planned(numbers):
            target = out / path
            target.parent.mkdir(parents=True, exist_ok=True)
            draw(number, part, chance).save(target)
        write_json(out / "source.json", {"data": name, "pictures": source})
    return folder


def planned(numbers: range) -> Iterator[tuple[str, int, str]]:
    """Path, number and part of each picture."""
    for part, n in (("train", N_TRAIN), ("test", N_TEST)):
        for number in numbers:
            for index in range(n):
                yield f"{part}/{number}/{index:02d}.png", number, part


def draw_dots(n: int, chance: random.Random) -> Image.Image:
    """Dots that do not touch; pictures have dots of different sizes, so that ink does not tell the number."""
    ink, ground = chance.choice(demo.INKS), chance.choice(demo.GROUNDS)
    radius = chance.uniform(2.5, 5.5)
    centres: list[tuple[float, float]] = []
    while len(centres) < n:
        x, y = (chance.uniform(radius + 1, SIZE - radius - 1) for _ in range(2))
        if all((x - a) ** 2 + (y - b) ** 2 > (2 * radius + 2) ** 2 for a, b in centres):
            centres.append((x, y))
    picture = Image.new("RGB", (OVERSAMPLED * SIZE, OVERSAMPLED * SIZE), ground)
    pen = ImageDraw.Draw(picture)
    for x, y in centres:
        pen.ellipse([OVERSAMPLED * edge for edge in (x - radius, y - radius, x + radius, y + radius)], fill=ink)
    return picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def draw_icons(n: int, names: tuple[str, ...], chance: random.Random) -> Image.Image:
    """Copies of one icon in cells that are drawn by chance."""
    drawing, side = icon(chance.choice(names)), SIZE // CELLS
    ink, ground, scale = chance.choice(demo.INKS), chance.choice(demo.GROUNDS), chance.uniform(0.6, 0.95)
    picture = Image.new("RGB", (SIZE, SIZE), ground)
    for cell in chance.sample(range(CELLS * CELLS), n):
        copy = demo.draw(drawing, demo.Look(ink, ground, 0.0, scale, chance.random()), side)
        picture.paste(copy, (side * (cell % CELLS), side * (cell // CELLS)))
    return picture


def draw_turned(angle: int, names: tuple[str, ...], chance: random.Random) -> Image.Image:
    """One icon, turned to the left; it is small enough for its corners to stay in the picture."""
    drawing = icon(chance.choice(names))
    ink, ground, scale = chance.choice(demo.INKS), chance.choice(demo.GROUNDS), chance.uniform(0.45, 0.62)
    upright = demo.draw(drawing, demo.Look(ink, ground, 0.0, scale), 2 * SIZE)
    shift = (chance.uniform(-6, 6), chance.uniform(-6, 6))
    # Pillow moves by parts of a pixel too, which its annotation does not say.
    turned = upright.rotate(angle, Image.Resampling.BICUBIC, translate=shift, fillcolor=ground)  # type: ignore[arg-type]
    return turned.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def icon(name: str) -> Path:
    """The SVG file of one of Font Awesome's solid icons."""
    path = demo.package_folder("fontawesomefree") / "static/fontawesomefree/svgs/solid" / f"{name}.svg"
    if not path.is_file():
        raise DataError(f"The icon package has no drawing {path.name}; another version was expected.")
    return path


def package() -> str:
    """The icon package, in words."""
    return f"{demo.installed('fontawesomefree')}, Font Awesome Free icons, CC BY 4.0, by Fonticons, Inc."
