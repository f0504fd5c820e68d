r"""What stands in the image column of a table: a path, or an image itself as bytes, in base64 or as a data URI.

The rule is one for all tables, whether text (CSV, JSON) or binary (Parquet, Arrow):

| cell | becomes |
| --- | --- |
| path | the file below the table's folder or `image_root`; `\\` is `/`; `file://`; `image_suffix` may be missing |
| number | the path that it spells, for tables of image numbers |
| `data:image/png;base64,...`; base64 of an image file | the image |
| bytes; `{"bytes": ..., "path": ...}` | the image, or the file at the path where it has no bytes |
| list of one image | that image |
| nothing (None, NaN, empty text) | `MissingImage`: skipped and counted when it is opened, as a missing file is |
| other lists and objects, true and false | refused, with column and row |
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from coopt.data.labels import is_missing, label_text
from coopt.data.unicode import find_file
from coopt.messages import option

Find = Callable[[str], Any]
"""From a path ('/' between its parts) to something that `open_image` opens; None where there is no such file."""

WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
BASE64 = re.compile(r"[A-Za-z0-9+/_\s-]{40,}={0,2}\s*")
LONGEST_PATH = 4096
HEADS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", b"II*\x00", b"MM\x00*", b"\x00\x00\x00", b"P5", b"P6")
"""How image files begin."""


@dataclass(frozen=True)
class MissingImage:
    """An image that is not there: a table names it, or has an empty cell in its place."""

    reason: str = "the file does not exist"

    def read(self) -> bytes:
        """Say so, in the way in which reading any missing file does."""
        raise OSError(self.reason)


@dataclass(frozen=True)
class EmbeddedImage:
    """An image file as text in base64, decoded when it is read."""

    text: str

    def read(self) -> bytes:
        """The content of the image file as bytes."""
        return _from_base64(self.text)


def read_cell(value: Any, find: Find, suffix: str = "") -> tuple[Any, str | None]:
    """What `open_image` opens for a cell, and the path that the cell gives.

    Raises:
        TypeError: the cell holds something that is no image; the message says what.
    """
    if isinstance(value, dict):
        return _read_object(value, find, suffix)
    if isinstance(value, list):
        if len(value) == 1 and not isinstance(value[0], (int, float, list)):
            return read_cell(value[0], find, suffix)
        numbers = bool(value) and isinstance(value[0], (int, float, list))
        raise TypeError(f"a list of {len(value)} {'numbers or lists' if numbers else 'images'}")
    if isinstance(value, (bytes, bytearray, memoryview)):
        return (bytes(value), None) if len(value) else (MissingImage("the table's cell is empty"), None)
    if isinstance(value, bool):
        raise TypeError(f"the value {value}")
    if isinstance(value, (str, Path)):
        text = str(value).strip()
    else:
        text = label_text(value) or ""  # a number
    if text.startswith("data:"):
        return _read_data_uri(text), None
    found = locate(text, find, suffix)
    if found is not None:
        return found, text
    if is_missing(text):
        return MissingImage("the table's cell is empty"), None
    if BASE64.fullmatch(text) and _from_base64(text[:40]).startswith(HEADS):
        return EmbeddedImage(text), None
    return MissingImage(why_missing(text)), text if len(text) <= LONGEST_PATH and "\n" not in text else None


def memory_item(item: Any) -> Any:
    """An element of a list of images: the path that a text spells, or the image that it holds; others as they are.

    Raises:
        TypeError: it is an object that is no image.
    """
    if not isinstance(item, (str, Path, dict)) or (isinstance(item, Path) and item.is_file()):
        return item
    found, _ = read_cell(item, find_on_disk)
    return item if isinstance(found, MissingImage) and not isinstance(item, dict) else found


def find_on_disk(path: str) -> str | None:
    """The file at a path as it is seen from the working directory."""
    found = find_file(Path(), path)
    return None if found is None else str(found)


def locate(text: str, find: Find, suffix: str = "") -> Any:
    """The file that a path means, in whichever way programs spell it; None where there is none."""
    spellings = [text]
    if text.lower().startswith("file:"):
        below = re.sub(r"^file:(//(localhost)?(?=/)|//(?=[A-Za-z]:))?", "", text, flags=re.IGNORECASE)
        spellings = [unquote(below), below, re.sub(r"^/(?=[A-Za-z]:)", "", unquote(below))]
    spellings += [spelling.replace("\\", "/") for spelling in spellings if "\\" in spelling]
    for spelling in filter(None, spellings):
        for ending in dict.fromkeys(("", suffix)):
            path = spelling + ending
            if len(path) > LONGEST_PATH or "\x00" in path:
                continue
            try:
                found = find(path)
            except OSError:  # a part of it is longer than names may be
                continue
            if found is not None:
                return found
    return None


def why_missing(text: str) -> str:
    """Why no file was found for the text of a cell."""
    if len(text) > LONGEST_PATH or any(len(part.encode()) > 255 for part in re.split(r"[\\/]", text)):
        return f"its {len(text):,} characters are neither a path nor an image file in base64"
    if WINDOWS.match(text):
        return (
            "it is an absolute path of a Windows machine; write paths relative to the table's folder, or to the folder "
            f"that {option('--image-root', 'image_root')} names"
        )
    if ADDRESS.match(text) and not text.lower().startswith("file:"):
        return "it is an address, and images are not downloaded; download them and give their paths"
    return "the file does not exist"


def _read_object(value: dict[str, Any], find: Find, suffix: str) -> tuple[Any, str | None]:
    if not {"bytes", "path"} & set(value):
        raise TypeError(f"an object with the keys {', '.join(map(repr, list(value)[:5]))}")
    content, path = value.get("bytes"), value.get("path")
    if path is not None and not isinstance(path, str):
        raise TypeError(f"an object whose path is {path!r}")
    if content is None or (isinstance(content, (str, bytes)) and not content):
        return read_cell(path, find, suffix)
    if isinstance(content, str):  # JSON has no bytes
        return (_read_data_uri(content) if content.startswith("data:") else EmbeddedImage(content)), path or None
    if not isinstance(content, bytes):
        raise TypeError(f"an object whose bytes are a {type(content).__name__}")
    return content, path or None


def _read_data_uri(text: str) -> Any:
    head, comma, content = text.partition(",")
    if not comma:
        return MissingImage("its data URI has no content")
    if head.lower().endswith(";base64"):
        return EmbeddedImage(unquote(content))
    return unquote_to_bytes(content)


def _from_base64(text: str) -> bytes:
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    if len(plain) % 4 == 1:
        raise OSError("its text in base64 ends too early")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise OSError(f"its text is not base64: {error}") from error
