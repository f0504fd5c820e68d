"""In which order rows and columns stand, and which names mean the same data set or backbone."""

import re
from collections.abc import Iterable

DATASETS = (
    "ImageNet",
    "Caltech101",
    "OxfordPets",
    "StanfordCars",
    "Flowers102",
    "Food101",
    "FGVCAircraft",
    "SUN397",
    "DTD",
    "EuroSAT",
    "UCF101",
    "ImageNetV2",
    "ImageNet-Sketch",
    "ImageNet-A",
    "ImageNet-R",
)
"""The order of the CoOp paper's tables; other data sets follow in alphabetical order."""

_ALIASES = {
    "oxfordflowers": "flowers102",
    "oxfordflowers102": "flowers102",
    "describabletextures": "dtd",
    "imagenetadversarial": "imageneta",
    "imagenetrendition": "imagenetr",
    "aircraft": "fgvcaircraft",
    "cars": "stanfordcars",
    "pets": "oxfordpets",
}

BACKBONES = {
    "RN50": ("RN50", "openai/RN50", "open_clip:RN50/openai"),
    "RN101": ("RN101", "openai/RN101", "open_clip:RN101/openai"),
    "ViT-B/32": ("ViT-B/32", "ViT-B-32", "openai/clip-vit-base-patch32", "open_clip:ViT-B-32/openai"),
    "ViT-B/16": ("ViT-B/16", "ViT-B-16", "openai/clip-vit-base-patch16", "open_clip:ViT-B-16/openai"),
}
"""The papers' backbones and the names under which `load_model` finds the same weights."""


def plain_name(dataset: str) -> str:
    """One spelling of a data set's name: "oxford_flowers" and "Flowers102" are both "flowers102"."""
    plain = re.sub(r"[^a-z0-9]", "", dataset.lower())
    return _ALIASES.get(plain, plain)


_PLACES = {plain_name(name): place for place, name in enumerate(DATASETS)}


def sort_datasets(names: Iterable[str]) -> list[str]:
    """The paper's order, then the alphabet."""
    return sorted(set(names), key=lambda name: (_PLACES.get(plain_name(name), len(_PLACES)), natural(name)))


def natural(text: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """A key that sorts "n_ctx=4" before "n_ctx=16"; equal only for equal texts."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text.lower())
    return tuple((0, int(p), "") if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts), text


def find_backbone(model: str) -> str | None:
    """The paper's name of a model, or None."""
    return next((name for name, known in BACKBONES.items() if model in known), None)
