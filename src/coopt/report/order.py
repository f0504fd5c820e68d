"""The order of rows and columns, and the names that mean the same data set or backbone."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PUBLISHED: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
"""Facts and numbers of the papers; its entry "about" says what the parts are."""
DATASETS: tuple[str, ...] = tuple(PUBLISHED["datasets"])
"""The order of the CoOp paper's tables; other data sets follow in alphabetical order."""
BACKBONES: dict[str, list[str]] = PUBLISHED["backbones"]
"""The papers' backbones and the names under which `load_model` finds the same weights."""


def plain_name(dataset: str) -> str:
    """One spelling of a data set's name: "oxford_flowers" and "Flowers102" are both "flowers102"."""
    plain = re.sub(r"[^a-z0-9]", "", dataset.lower())
    return PUBLISHED["aliases"].get(plain, plain)


_PLACES = {plain_name(name): place for place, name in enumerate(DATASETS)}


def sort_datasets(names: Iterable[str]) -> list[str]:
    """Each name once, in the paper's order, the others after it in alphabetical order."""
    return sorted(set(names), key=lambda name: (_PLACES.get(plain_name(name), len(_PLACES)), natural(name)))


def natural(text: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """A key that sorts "n_ctx=4" before "n_ctx=16"; equal only for equal texts."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text.lower())
    return tuple((0, int(p), "") if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts), text


def find_backbone(model: str) -> str | None:
    """The paper's name of a model, or None."""
    return next((name for name, known in BACKBONES.items() if model in known), None)
