"""What goes through a model's image tower, what lies in the feature cache, how often image files are opened."""

import builtins
import copy
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

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


@dataclass
class Opens:
    """How many times files ending in .png were opened, and image contents decoded."""

    files: int = 0
    decoded: int = 0


@contextmanager
def opens(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opens]:
    """Counts what this process opens; decoding begins with Pillow's `Image.open`."""
    seen = Opens()
    open_file, open_image = io.open, Image.open

    def counted_file(file: Any, *arguments: Any, **named: Any) -> Any:
        seen.files += str(file).endswith(".png")
        return open_file(file, *arguments, **named)

    def counted_image(*arguments: Any, **named: Any) -> Image.Image:
        seen.decoded += 1
        return open_image(*arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(io, "open", counted_file)  # pathlib's
        patched.setattr(builtins, "open", counted_file)  # Pillow's and everybody else's
        patched.setattr(Image, "open", counted_image)
        yield seen
