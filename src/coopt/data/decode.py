"""Decoding one image file of any supported format to an 8-bit RGB PIL image.

| input | becomes |
| --- | --- |
| EXIF orientation | applied; a malformed EXIF block is ignored |
| palette, grey, 1-bit, YCbCr, HSV | converted by Pillow |
| CMYK | converted by Pillow; embedded colour profiles are ignored, as CLIP's own preprocessing does |
| alpha (RGBA, LA, PA, a transparent palette entry or colour) | composited on white |
| 16-bit grey, and 32-bit integers within 0..65535 | 0..255 from 0 to the top of the range (below) |
| 16 bits per channel in colour | the upper 8; refused where 12 or fewer are used |
| other 32-bit integers | stretched from their minimum and maximum to 0..255 |
| floats within 0..1, within 0..255, elsewhere | times 255; as they are; stretched from minimum and maximum |
| several frames or pages | the first; or some, where an animation is asked for |
| truncated, damaged, of another format, not a number | `UnreadableImageError` |
| more than `coopt.data.pixels.LARGE_PIXELS` pixels | halved, by averages |
| more than `MAX_PIXELS` pixels | `UnreadableImageError`, before any pixel is decoded |

The range of 16-bit grey ends at the largest value of as many bits as the caller says; else at what the file says (TIFF,
PGM, JPEG 2000, the significant bits of PNG); else at that of the fewest bits of 8, 10, 12, 14 and 16 that hold all
values of the image. The 12 bits of a camera in a 16-bit file would be nearly black otherwise.
"""

import hashlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from coopt.data.formats import HEAD_BYTES, format_of, is_read, open_formats, remedy
from coopt.data.pixels import to_rgb
from coopt.errors import DataError

MAX_PIXELS = 178_956_970
"""Twice Pillow's default warning threshold, where Pillow itself refuses; half a gigabyte as RGB."""

ANIMATED = ("GIF", "WEBP", "PNG", "TIFF", "AVIF")
"""The formats whose further pictures are frames. Those of a JPEG (MPO) are previews and the like."""


class UnreadableImageError(DataError):
    """An image cannot be decoded. `name` says which one, `reason` why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"Cannot read image '{name}': {reason}")
        self.name = name
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Rebuild from both arguments, so that the error crosses process borders."""
        return type(self), (self.name, self.reason)


def decode_file(file: Path | BinaryIO | bytes, name: str, bits: int | None = None) -> Image.Image:
    """Decode the first picture of an image file to 8-bit RGB.

    Raises:
        UnreadableImageError: as `decode_frames`.
    """
    return decode_frames(file, name, None, bits)[0]


def decode_frames(
    file: Path | BinaryIO | bytes, name: str, n_frames: int | None = None, bits: int | None = None
) -> list[Image.Image]:
    """Decode an image file to 8-bit RGB as the module's table says: its first picture, or `n_frames` of its frames.

    `bits` says how many bits the values of 16-bit grey images have; None goes by each file.

    Raises:
        UnreadableImageError: the content is damaged, too large or of a format that is not read.
    """
    if isinstance(file, bytes):
        file = io.BytesIO(file)
    if isinstance(file, Path) and file.exists() and not file.is_file() and not file.is_dir():
        raise UnreadableImageError(name, "it is a pipe, a socket or a device and no file")
    try:
        with warnings.catch_warnings():
            # Pillow warns of oddities that this module defines (large sizes, odd EXIF, palette transparency).
            warnings.simplefilter("ignore")
            with Image.open(file, formats=open_formats()) as image:
                return frames_of(image, n_frames, bits)
    except FileNotFoundError:
        raise UnreadableImageError(name, "the file does not exist") from None
    except Image.UnidentifiedImageError:
        raise UnreadableImageError(name, _unknown(file, name)) from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(name, f"it has more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:  # Pillow's readers raise nearly anything on damaged content
        raise UnreadableImageError(name, f"{error}" or type(error).__name__) from error


@contextmanager
def open_undecoded(source: Any) -> Iterator[Image.Image | None]:
    """The image of a path, of bytes or of what has `read()`, its pixels not yet decoded; None where there is none."""
    if isinstance(source, Image.Image):
        yield source
        return
    try:
        file = (
            Path(source) if isinstance(source, (str, Path)) else source if isinstance(source, bytes) else source.read()
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=open_formats())
    except Exception:  # told when the image is opened for use
        yield None
        return
    with image:
        _note_significant_bits(image)
        yield image


def frames_of(image: Image.Image, n_frames: int | None, bits: int | None = None) -> list[Image.Image]:
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
        _note_significant_bits(image)
        found[number] = to_rgb(image, bits)
    return [found[number] for number in at]


def _unknown(file: Any, name: str) -> str:
    """Why content that Pillow does not know is not read."""
    if isinstance(file, Path):
        with open(file, "rb") as opened:
            head = opened.read(HEAD_BYTES)
    else:
        file.seek(0)
        head = file.read(HEAD_BYTES)
    found = format_of(name, head)
    if found is None or is_read(found):
        return "the content is not an image of a known format"
    return f"it is in {found}, which is not read: {remedy(found)}"


def _note_significant_bits(image: Image.Image) -> None:
    # Pillow passes over the PNG chunk that says how many bits are significant.
    file = getattr(image, "fp", None)
    if image.format == "PNG" and image.mode.startswith("I") and file is not None:
        place = file.tell()
        file.seek(0)
        head = file.read(4096)
        file.seek(place)
        at = head.find(b"\x00\x00\x00\x01sBIT")
        if at >= 0 and 8 < head[at + 8] < 16:
            image.info["significant_top"] = 2 ** head[at + 8] - 1


def image_digest(image: Image.Image) -> str:
    """16 hexadecimal digits of a decoded image's size and pixels: equal for equal pictures, whatever their file."""
    digest = hashlib.blake2b(f"{image.mode} {image.width} {image.height} ".encode(), digest_size=8)
    digest.update(image.tobytes())
    return digest.hexdigest()
