"""Which pictures are the same: digests of their content, whatever the files are called and wherever they lie."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from PIL import Image

from coopt.data.arrays import as_array
from coopt.data.sources import open_frames, read_content

DIGEST_BYTES = 16
UNREADABLE = 0
"""The number of an image that cannot be read: it is the same as no other."""


def content_digest(content: Any, frames: int = 1) -> bytes:
    """16 bytes that stand for an image's content: its file's bytes, undecoded, or its pixels in memory.

    Args:
        content: what `coopt.data.sources.read_content` gives.
        frames: how many frames of a PIL image count.

    Raises:
        Exception: whatever Pillow raises where pixels cannot be converted.
    """
    if isinstance(content, bytes):
        return _digest("file", content)
    if isinstance(content, Image.Image):
        # As decoding does: orientation, palette and transparency count too.
        shown = open_frames(content, "it", frames if frames > 1 else None)
        return _digest(f"pixels {shown[0].size}", b"".join(rgb.tobytes() for rgb in shown))
    # The library counts too: where both readings of the axes fit, arrays and tensors are read differently.
    kind = "tensor" if isinstance(content, torch.Tensor) else "array"
    array = np.ascontiguousarray(as_array(content))
    return _digest(f"{kind} {content.dtype} {array.shape}", array.tobytes())


def number_images(images: Sequence[Any]) -> Int64[np.ndarray, " N"]:
    """A number for each image, equal for equal content; `UNREADABLE` for those that cannot be read.

    Files are read, not decoded.
    """
    return np.array([_number(source) for source in images], dtype=np.int64)


def find_conflicts(numbers: Int64[np.ndarray, " N"], labels: Int64[np.ndarray, " N"]) -> list[list[int]]:
    """Pictures that are there with several labels: for each one the positions of its images."""
    places: dict[int, list[int]] = {}
    for index, number in enumerate(numbers.tolist()):
        if number != UNREADABLE:
            places.setdefault(number, []).append(index)
    return [same for same in places.values() if len(same) > 1 and len(set(labels[same].tolist())) > 1]


def _number(source: Any) -> int:
    try:
        digest = content_digest(read_content(source, ""))
    except Exception:  # decoding will say why
        return UNREADABLE
    return int.from_bytes(digest[:8], "little", signed=True)


def _digest(kind: str, content: bytes) -> bytes:
    digest = hashlib.blake2b(kind.encode() + b"\n", digest_size=DIGEST_BYTES)
    digest.update(content)
    return digest.digest()
