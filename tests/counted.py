"""A model that counts what goes through its image tower, and what lies in the feature cache."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from coopt.models import VLM


class Counter:
    """Counts the images that go through the tower, copies that fill a chunk included."""

    def __init__(self, vlm: VLM) -> None:
        self.inner = vlm._encode_image
        self.n = 0

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        self.n += len(pixels)
        return self.inner(pixels)


def counting(vlm: VLM) -> VLM:
    """The same model with a counter of its own."""
    counted = copy.copy(vlm)
    counted._encode_image = Counter(vlm)
    return counted


def encoded_by(vlm: VLM, work: Callable[[], Any]) -> tuple[Any, int]:
    """The result, and how many images went through the tower for it."""
    before = vlm._encode_image.n
    return work(), vlm._encode_image.n - before


def cache_files() -> list[Path]:
    return sorted(Path(os.environ["COOPT_CACHE"]).rglob("*.safetensors"))
