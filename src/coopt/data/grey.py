"""One range for all grey images of 16 bits of a data set, so that a series is scaled alike."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from coopt.data.archives import ArchiveMember
from coopt.data.arrays import as_array
from coopt.data.decode import open_undecoded
from coopt.data.formats import HEAD_BYTES, sniff
from coopt.data.pixels import declared_top, depth_of
from coopt.data.tree import read_head
from coopt.errors import ConfigError
from coopt.messages import option

N_LOOKED_AT = 3
"""Images of a source that are looked at to see whether it has 16-bit grey at all."""
N_SAMPLED = 64
"""Images whose values are then looked at."""


def check_bits(bits: int | None) -> None:
    """Refuse a number of bits that no 16-bit image has.

    Raises:
        ConfigError: see above.
    """
    if bits is not None and (isinstance(bits, bool) or not isinstance(bits, (int, np.integer)) or not 8 <= bits <= 16):
        raise ConfigError(
            f"{option('--image-bits', 'image_bits')} is {bits!r}; allowed is a whole number from 8 to 16, or None."
        )


def common_bits(images: Sequence[Any]) -> int | None:
    """The bits that the 16-bit grey images of a source use together, by a sample of them.

    None where there are none, where their files say it themselves, or where they use all 16 bits.
    """
    if not any(_is_sixteen(images[index]) for index in _spread(len(images), N_LOOKED_AT)):
        return None
    tops = [_top(images[index]) for index in _spread(len(images), N_SAMPLED)]
    found = [top for top in tops if top is not None]
    return depth_of(max(found)) if found else None


def bits_note(bits: int) -> str:
    """What a user should know of a range that was found."""
    return (
        f"the 16-bit grey images use {bits} bits: 0 to {2**bits - 1:,} becomes black to white in all of them, and one "
        f"with larger values is scaled by its own; {option('--image-bits', 'image_bits')} says otherwise"
    )


def _spread(total: int, n: int) -> list[int]:
    return sorted({(2 * i + 1) * total // (2 * n) for i in range(n)}) if total else []


def _is_sixteen(source: Any) -> bool:
    """Whether an image is grey of 16 bits; only files that may be so are opened."""
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return as_array(source).dtype == np.uint16
    if isinstance(source, Image.Image):
        return source.mode.startswith("I")
    if not isinstance(source, (str, Path, bytes, ArchiveMember)):
        return False  # an item of a data set, which is read when it is used
    try:
        head = (
            source[:HEAD_BYTES]
            if isinstance(source, bytes)
            else read_head(Path(source) if isinstance(source, str) else source)
        )
    except Exception:  # told when the image is opened for use
        return False
    if sniff(head) == "PNG":
        return head[24:26] == b"\x10\x00"  # 16 bits, grey
    if sniff(head) != "TIFF":
        return False
    with open_undecoded(source) as image:
        return image is not None and image.mode.startswith("I")


def _top(source: Any) -> float | None:
    """The largest value of a 16-bit grey image whose file does not say what its range is."""
    if not _is_sixteen(source):
        return None
    if isinstance(source, (np.ndarray, torch.Tensor)):
        array = as_array(source)
        return float(array.max()) if array.size else None
    with open_undecoded(source) as image:
        try:
            pixels = np.asarray(image)
            says = None if image is None else declared_top(image)
        except Exception:  # told when the image is opened for use
            return None
        low, high = float(pixels.min()), float(pixels.max())
        return high if says is None and low >= 0 and high <= 65535 else None
