"""Decoding one image file of any supported format to an 8-bit RGB PIL image.

| input | becomes |
| --- | --- |
| EXIF orientation | applied; a malformed EXIF block is ignored |
| palette, grey, 1-bit, YCbCr, HSV | converted by Pillow |
| CMYK | converted by Pillow; embedded colour profiles are ignored, as CLIP's own preprocessing does |
| alpha (RGBA, LA, PA, a transparent palette entry or colour) | composited on white |
| 16-bit grey, and 32-bit integers within 0..65535 | divided by 257, rounded |
| other 32-bit integers | stretched from their minimum and maximum to 0..255 |
| floats within 0..1, within 0..255, elsewhere | times 255; as they are; stretched from minimum and maximum |
| several frames or pages | the first; or some, where an animation is asked for |
| truncated, damaged, of another format, not a number | `UnreadableImageError` |
| more than `MAX_PIXELS` pixels | `UnreadableImageError`, before any pixel is decoded |
"""

import hashlib
import io
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from coopt.errors import DataError

MAX_PIXELS = 178_956_970
"""Twice Pillow's default warning threshold, where Pillow itself refuses; half a gigabyte as RGB."""

FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF",
)  # fmt: skip
"""The formats that are read. Others stay closed: some of Pillow's readers start outside programs (EPS)."""

ANIMATED = ("GIF", "WEBP", "PNG", "TIFF", "AVIF")
"""The formats whose further pictures are frames. Those of a JPEG (MPO) are previews and the like."""

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .bmp .dib .gif .tif .tiff .ppm .pgm .pbm .pnm .jp2 .j2k .avif".split()
)
"""File names that count as images, in lower case."""


class UnreadableImageError(DataError):
    """An image cannot be decoded. `name` says which one, `reason` why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Cannot read image '{name}': {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from both arguments, so that the error crosses process borders."""
        return type(self), (self.name, self.reason)


def is_image_name(name: str) -> bool:
    """Whether a file of this name counts as an image."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def decode_frames(file: Path | BinaryIO | bytes, name: str, n_frames: int | None = None) -> list[Image.Image]:
    """Decode an image file to 8-bit RGB as the module's table says: its first picture, or `n_frames` of its frames.

    Raises:
        UnreadableImageError: the content is damaged, too large or of a format that is not read.
    """
    if isinstance(file, bytes):
        file = io.BytesIO(file)
    try:
        with warnings.catch_warnings():
            # Pillow warns of oddities that this module defines (large sizes, odd EXIF, palette transparency).
            warnings.simplefilter("ignore")
            with Image.open(file, formats=_formats()) as image:
                return frames_of(image, n_frames)
    except FileNotFoundError:
        raise UnreadableImageError(name, "the file does not exist") from None
    except Image.UnidentifiedImageError:
        raise UnreadableImageError(name, "the content is not an image of a known format") from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(name, f"it has more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's readers raise nearly anything on damaged content
        raise UnreadableImageError(name, f"{error}" or type(error).__name__) from error


def frames_of(image: Image.Image, n_frames: int | None) -> list[Image.Image]:
    """The picture that `image` shows, or `n_frames` equally spaced frames of it, as 8-bit RGB.

    Of a file with fewer frames some come several times; a still image is repeated.
    """
    total = getattr(image, "n_frames", 1) if n_frames and image.format in ANIMATED else 1
    at = [(2 * i + 1) * total // (2 * (n_frames or 1)) for i in range(n_frames or 1)]
    found: dict[int, Image.Image] = {}
    for number in sorted(set(at)):
        if total > 1:
            image.seek(number)
        if image.width * image.height > MAX_PIXELS:  # before any of them is decoded
            raise Image.DecompressionBombError(f"it has more than {MAX_PIXELS:,} pixels")
        found[number] = to_rgb(image)
    return [found[number] for number in at]


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image to 8-bit RGB as the module's table says.

    Raises:
        ValueError: a mode that Pillow cannot convert, or pixels that are not numbers.
    """
    image.load()
    image = _upright(image)
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_scale_to_8_bit(np.asarray(image), image.mode)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _formats() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a malformed EXIF block says nothing about the pixels
        return image


def _scale_to_8_bit(pixels: np.ndarray, mode: str) -> np.ndarray:
    values: Float[np.ndarray, "H W"] = pixels.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has pixels that are not finite numbers")
    low, high = float(values.min()), float(values.max())
    if mode != "F" and 0 <= low and high <= 65535:
        values = values / 257
    elif mode == "F" and 0 <= low and high <= 1:
        values = values * 255
    elif not (mode == "F" and 0 <= low and high <= 255):
        values = (values - low) * (255 / max(high - low, np.finfo(np.float64).tiny))
    return np.floor(values + 0.5).astype(np.uint8)


def image_digest(image: Image.Image) -> str:
    """16 hexadecimal digits of a decoded image's size and pixels: equal for equal pictures, whatever their file."""
    facts = f"{image.mode} {image.width} {image.height} ".encode()
    return hashlib.blake2b(facts + image.tobytes(), digest_size=8).hexdigest()
