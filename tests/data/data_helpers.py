"""Small images and paths for the tests of this folder."""

import io

import numpy as np
from PIL import Image


def picture(seed: int, width: int = 7, height: int = 5) -> Image.Image:
    """A small image of noise that no other seed gives."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def class_paths(counts: dict[str, int], prefix: str = "") -> list[str]:
    return [f"{prefix}{name}/{index}.png" for name, n in counts.items() for index in range(n)]
