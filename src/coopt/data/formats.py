"""Which files are images: by their ending where it is a usual one, else by their first bytes.

A format that is known and not read here is said by name, with the package that reads it.
"""

import importlib.util
import os
import re
from functools import lru_cache

from PIL import Image

FORMATS = (
    "JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "JPEG2000", "AVIF", "QOI", "PSD", "HEIF", "JXL",
)  # fmt: skip
"""The formats that are read, where Pillow or a plugin has them. Others stay closed: some of Pillow's readers start
outside programs (EPS)."""

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .webp .bmp .dib .gif .tif .tiff .ppm .pgm .pbm .pnm .jp2 .j2k".split()
)
"""Endings that every Pillow reads: such a file counts as an image without a look inside. In lower case."""

ENDINGS = {
    ".heic": "HEIC", ".heif": "HEIC", ".hif": "HEIC", ".avif": "AVIF", ".jxl": "JXL", ".qoi": "QOI", ".psd": "PSD",
    ".svg": "SVG", ".dcm": "DICOM", ".exr": "OpenEXR", ".hdr": "Radiance HDR", ".eps": "EPS",
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"), "camera raw"),
}  # fmt: skip
"""Endings of further formats, in lower case."""

PLUGINS = {
    "HEIC": ("pillow_heif", "pillow-heif"),
    "AVIF": ("pillow_avif", "pillow-avif-plugin"),
    "JXL": ("pillow_jxl", "pillow-jxl-plugin"),
}
"""Formats that a plugin of Pillow reads: its module and the package to install."""

PILLOW_NAMES = {"HEIC": "HEIF"}
"""How Pillow calls a format that users know by another name."""

HEAD_BYTES = 256
"""How much of a file `sniff` looks at."""

_MAGIC = (
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"GIF8[79]a", "GIF"),
    (rb"RIFF....WEBP", "WEBP"),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", "BMP"),
    (rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+", "TIFF"),
    (rb"P[1-6]\s+(#|\d+\s)", "PPM"),
    (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "JPEG2000"),
    (rb"qoif", "QOI"),
    (rb"8BPS", "PSD"),
    (rb"....ftyp(avif|avis|.{8}[^\x00]{0,24}avif)", "AVIF"),
    (rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", "HEIC"),
    (rb"\x00\x00\x00\x0cJXL ", "JXL"),
    (rb".{128}DICM", "DICOM"),
    (rb"\x76\x2f\x31\x01", "OpenEXR"),
    (rb"#\?RADIANCE", "Radiance HDR"),
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg\s", "SVG"),
    (rb"%!PS-Adobe.{1,12}EPSF", "EPS"),
)
_MAGIC_PATTERNS = tuple((re.compile(pattern, re.DOTALL), name) for pattern, name in _MAGIC)


def is_image_name(name: str) -> bool:
    """Whether a file of this name counts as an image without a look inside."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def may_be_image_name(name: str) -> bool:
    """Whether the ending is one of an image, of a format that is read here or of another."""
    return is_image_name(name) or os.path.splitext(name)[1].lower() in ENDINGS


def sniff(head: bytes) -> str | None:
    """The format of an image file by its first bytes (`HEAD_BYTES` are enough); None for anything else."""
    return next((name for pattern, name in _MAGIC_PATTERNS if pattern.match(head)), None)


def format_of(name: str, head: bytes) -> str | None:
    """The image format of a file whose ending is not in `EXTENSIONS`; None where it is no image.

    A camera's raw file looks like TIFF inside, so its ending decides.
    """
    by_ending = ENDINGS.get(os.path.splitext(name)[1].lower())
    return by_ending if by_ending == "camera raw" else sniff(head) or by_ending


def is_read(image_format: str) -> bool:
    """Whether Pillow, with the plugins that are installed, reads the format."""
    return PILLOW_NAMES.get(image_format, image_format) in open_formats()


@lru_cache(maxsize=1)
def open_formats() -> list[str]:
    """The formats of `FORMATS` that can be read in this process; plugins that are installed are loaded."""
    Image.init()
    for name, (module, _) in PLUGINS.items():
        if PILLOW_NAMES.get(name, name) not in Image.OPEN and importlib.util.find_spec(module) is not None:
            _load_plugin(module)
    return [name for name in FORMATS if name in Image.OPEN]


def remedy(image_format: str) -> str:
    """What makes files of a format that is not read readable."""
    if image_format in PLUGINS:
        return f"install the package {PLUGINS[image_format][1]}, or convert to JPEG or PNG"
    readers = {"DICOM": "pydicom", "camera raw": "rawpy", "OpenEXR": "OpenEXR", "SVG": "cairosvg"}
    by = f", for example with the package {readers[image_format]}" if image_format in readers else ""
    return f"convert to PNG or TIFF{by}"


def _load_plugin(module: str) -> None:
    try:
        plugin = importlib.import_module(module)
        if hasattr(plugin, "register_heif_opener"):
            plugin.register_heif_opener()
    except Exception:  # a plugin that is broken reads nothing; the images are then said to be of a format not read
        return
