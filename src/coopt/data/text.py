"""Text files that a user gives: tables, names of classes, templates, data files. One reader for all of them."""

import codecs
import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

from coopt.errors import DataError

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks and what they say; UTF-32 first, its mark begins with that of UTF-16."""
MAX_BYTES = 2**31
"""The largest text that a compressed file may hold."""
LINE_ENDS = re.compile(r"\r\n|\r|\n")
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
"""Characters that no text file has: they come from other kinds of files, or would act on a terminal."""


def read_text(source: Path | bytes, what: str) -> str:
    """The text of a file, or of its content, without its byte order mark; a .gz is decompressed.

    Args:
        source: the file, or its bytes.
        what: what messages call it, such as "The table 't.csv'".

    Raises:
        DataError: it cannot be opened, is in another encoding than UTF-8, UTF-16 and UTF-32, or is no text.
    """
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = _decompress(content, what)
    except FileNotFoundError:
        raise DataError(f"{what} does not exist.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{what} cannot be read: {error}.") from error
    text = _decode(content, what).rstrip("\x1a")  # old editors of DOS end a file so
    if found := CONTROL.search(text):
        line = len(LINE_ENDS.findall(text[: found.start()])) + 1
        raise DataError(
            f"{what} has the control character {found[0]!r} in line {line}; it is not a plain text file, or is "
            "damaged. Remove the character or save the file as UTF-8 text."
        )
    return text


def text_lines(text: str) -> list[str]:
    """The lines of a text that are not empty, stripped; line ends of all systems."""
    return [line.strip() for line in LINE_ENDS.split(text) if line.strip()]


def parse_json(text: str, what: str, **options: Any) -> Any:
    """The value of a JSON text; `options` are those of `json.loads`.

    Raises:
        DataError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text, **options)
    except RecursionError:
        raise DataError(f"{what} is not readable JSON: its lists and objects are nested too deeply.") from None
    except ValueError as error:
        raise DataError(f"{what} is not readable JSON: {error}.") from error


def unique_keys(what: str) -> Any:
    """For `parse_json(..., object_pairs_hook=...)`: objects as dicts, where no key may come twice."""

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise DataError(f"{what} has the key {key!r} twice. Keep one of them.")
            found[key] = value
        return found

    return read


def _decompress(content: bytes, what: str) -> bytes:
    text = zlib.decompressobj(wbits=31).decompress(content, MAX_BYTES)
    if len(text) >= MAX_BYTES:
        raise DataError(f"{what} grows beyond {MAX_BYTES:,} bytes when decompressed. Decompress it first.")
    return gzip.decompress(content)  # all parts of the file, checksums compared


def _decode(content: bytes, what: str) -> str:
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return _strict(content[len(mark) :], encoding, what)
    head = content[:400]
    if len(head) >= 4 and len(content) % 2 == 0 and b"\x00" in head:  # Windows programs leave out the mark
        for zeros, encoding in ((head[1::2], "utf-16-le"), (head[::2], "utf-16-be")):
            if zeros.count(0) > 0.7 * len(zeros):
                return _strict(content, encoding, what)
    return _strict(content, "utf-8", what)


def _strict(content: bytes, encoding: str, what: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(re.findall(rb"\r\n|\r|\n", content[: error.start])) + 1
        before, after = content[: error.start], content[error.start :]
        guess = (re.split(rb"[\r\n]", before)[-1][-30:] + re.split(rb"[\r\n]", after)[0][:30]).decode(
            "cp1252", "replace"
        )
        raise DataError(
            f"{what} is not {encoding.upper()} text: line {line} has the byte {content[error.start]:#04x}. It may be "
            f"in an older encoding, such as Windows-1252 or Latin-1 (in which this place reads {guess.strip()!r}). "
            "Save it as UTF-8, in an editor or with: iconv -f WINDOWS-1252 -t UTF-8."
        ) from error
