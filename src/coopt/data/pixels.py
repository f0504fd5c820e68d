"""From a decoded image of any mode to 8-bit RGB, and how grey values of more than 8 bits become 0..255.

A large image is converted a strip at a time, and one of more than `LARGE_PIXELS` is halved on the way, so that memory
stays near that of the image itself. Every other image comes out the same, whatever its size.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Shaped
from PIL import ExifTags, Image

DECODING = 2
"""Raised when an image comes out otherwise than before: features that were kept are then computed again."""

STRIP_PIXELS = 2**22
LARGE_PIXELS = 2**26
"""More than the sensors of cameras have; a model sees a few hundred pixels of each side."""

DEPTHS = (8, 10, 12, 14, 16)
"""Numbers of bits that devices write into 16-bit files."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each EXIF orientation."""


def to_rgb(image: Image.Image, bits: int | None = None) -> Image.Image:
    """Convert an image to 8-bit RGB as the table in `coopt.data.decode` says; `bits` is for grey of 16 bits.

    Raises:
        ValueError: a mode that Pillow cannot convert, or pixels that are not numbers.
    """
    n_pixels = image.width * image.height
    factor = 1 if n_pixels <= LARGE_PIXELS else int(np.ceil(np.sqrt(n_pixels / LARGE_PIXELS)))
    tiles = getattr(image, "tile", None)
    rawmode = str(tiles[0].args) if tiles else ""
    if factor > 1:
        image.draft(image.mode, (image.width // factor, image.height // factor))  # a JPEG is decoded smaller
        factor = 1 if image.width * image.height <= LARGE_PIXELS else factor
    image.load()
    if is_deep(image):
        rgb = _grey_to_rgb(image, bits, factor)
    else:
        _check_sixteen(image, rawmode)
        rows = max(1, STRIP_PIXELS // (image.width * factor)) * factor
        boxes = [(0, y, image.width, min(y + rows, image.height)) for y in range(0, image.height, rows)]
        strips = (_mode_to_rgb(image if len(boxes) == 1 else image.crop(box)) for box in boxes)
        rgb = _join(strips, image.size, factor)
    return _upright(rgb, image)


def is_deep(image: Image.Image) -> bool:
    """Whether the image is grey with more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def depth_of(highest: float) -> int:
    """The smallest number of bits in `DEPTHS` that holds a grey value of a 16-bit image."""
    return next(bits for bits in DEPTHS if highest < 2**bits)


def declared_top(image: Image.Image) -> int | None:
    """The largest grey value that a 16-bit file says it may have; None where it says nothing that can be relied on."""
    if image.format in ("PPM", "JPEG2000"):  # Pillow has stretched what the file says to 16 bits
        return 65535
    tags = getattr(image, "tag_v2", {})
    top = tags.get(281)  # MaxSampleValue
    top = top[0] if isinstance(top, tuple) and top else top
    if isinstance(top, int) and 0 < top < 65535:
        return top
    bits = tags.get(258, (16,))[0]
    return 2**bits - 1 if 8 < bits < 16 else image.info.get("significant_top")


def scale_to_8_bit(pixels: Shaped[np.ndarray, "..."], low: float, high: float) -> np.ndarray:
    """`low`..`high` to 0..255, rounded."""
    values = (pixels.astype(np.float64) - low) * (255 / max(high - low, np.finfo(np.float64).tiny))
    return np.floor(values + 0.5).astype(np.uint8)


def sixteen_bit_top(highest: float, bits: int | None, declared: int | None = None) -> int:
    """What becomes 255 of a 16-bit grey image: by `bits`, by the file, by the bits it uses; never less than it has."""
    for top in (None if bits is None else 2**bits - 1, declared):
        if top is not None and highest <= top:
            return top
    return 2 ** depth_of(highest) - 1


def _grey_to_rgb(image: Image.Image, bits: int | None, factor: int) -> Image.Image:
    pixels = np.asarray(image)  # (H, W)
    low, high = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("it has pixels that are not finite numbers")
    if image.mode != "F" and 0 <= low and high <= 65535:
        low, high = 0.0, float(sixteen_bit_top(high, bits, declared_top(image)))
    elif image.mode == "F" and 0 <= low and high <= 255:
        low, high = 0.0, 1.0 if high <= 1 else 255.0
    rows = max(1, STRIP_PIXELS // (image.width * factor)) * factor
    starts = range(0, image.height, rows)
    strips = (Image.fromarray(scale_to_8_bit(pixels[y : y + rows], low, high)).convert("RGB") for y in starts)
    return _join(strips, image.size, factor)


def _mode_to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _join(strips: Iterable[Image.Image], size: tuple[int, int], factor: int) -> Image.Image:
    width, height = (-(-side // factor) for side in size)
    whole: Image.Image | None = None
    top = 0
    for strip in strips:
        part = strip if factor == 1 else strip.reduce(factor)
        if part.height == height:
            return part
        whole = whole or Image.new("RGB", (width, height))
        whole.paste(part, (0, top))
        top += part.height
    assert whole is not None  # an image has a row
    return whole


def _check_sixteen(image: Image.Image, rawmode: str) -> None:
    # Pillow keeps the upper 8 bits of 16 per channel: of 12 bits that are used 4 would be left.
    if ";16" in rawmode and image.mode in ("RGB", "RGBA", "LA"):
        colours = image.split()[: 1 if image.mode == "LA" else 3]
        if 0 < max(float(np.asarray(colour).max()) for colour in colours) < 16:
            raise ValueError(
                "it has 16 bits per channel and uses 12 or fewer of them, which would come out black; save it with "
                "8 bits per channel, or with values up to 65535"
            )


def _upright(rgb: Image.Image, image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a malformed EXIF block says nothing about the pixels
        return rgb
    return rgb if turn is None else rgb.transpose(turn)
