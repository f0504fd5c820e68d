"""One range for all grey images of 16 bits of a data set, so that a series is scaled alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from coopt.data.arrays import as_array
from coopt.data.decode import open_undecoded
from coopt.data.pixels import declared_top, depth_of
from coopt.errors import ConfigError

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
        raise ConfigError(f"image_bits is {bits!r}; allowed is a whole number from 8 to 16, or None.")


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
        f"with larger values is scaled by its own; image_bits (--image-bits) says otherwise"
    )


def _spread(total: int, n: int) -> list[int]:
    return sorted({(2 * i + 1) * total // (2 * n) for i in range(n)}) if total else []


def _is_sixteen(source: Any) -> bool:
    if isinstance(source, (np.ndarray, torch.Tensor)):
        return as_array(source).dtype == np.uint16
    with open_undecoded(source) as image:
        return image is not None and image.mode.startswith("I")


def _top(source: Any) -> float | None:
    """The largest value of a 16-bit grey image whose file does not say what its range is."""
    if isinstance(source, (np.ndarray, torch.Tensor)):
        array = as_array(source)
        return float(array.max()) if array.dtype == np.uint16 and array.size else None
    with open_undecoded(source) as image:
        if image is None or not image.mode.startswith("I"):
            return None
        try:
            pixels = np.asarray(image)
            says = declared_top(image)
        except Exception:  # told when the image is opened for use
            return None
        low, high = float(pixels.min()), float(pixels.max())
        return high if says is None and low >= 0 and high <= 65535 else None
