"""One text in several Unicode forms is one text: 'é' may be one character or 'e' with an accent after it.

Linux, Windows and most editors write the first (NFC), macOS writes file names in the second (NFD). Every text that is
compared with another goes through `one_form`: labels, class names, names of images, paths in tables and archives.
"""

import os
import unicodedata
from functools import lru_cache
from pathlib import Path


def one_form(text: str) -> str:
    """The text in the normal form NFC, in which equal texts are equal strings."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def find_path(path: Path) -> Path:
    """The path as the disk writes it, where the disk has it in another form; else the path itself."""
    if path.exists() or str(path).isascii():
        return path
    found = Path(path.anchor)
    for part in path.parts[1 if path.anchor else 0 :]:
        exact = found / part
        found = exact if os.path.lexists(exact) else found / _entries(str(found)).get(one_form(part), part)
    return found if found.exists() else path


def find_file(folder: Path, name: str) -> Path | None:
    """The file that `name` (a path relative to `folder`, or absolute) means, in whichever form the disk writes it.

    Returns None where there is no such file.
    """
    path = find_path(folder / name)
    return path if path.is_file() else None


@lru_cache(maxsize=64)
def _entries(folder: str) -> dict[str, str]:
    """What a folder holds, by the one form of its names; only names that are not ASCII."""
    try:
        return {one_form(name): name for name in sorted(os.listdir(folder)) if not name.isascii()}
    except OSError:
        return {}
