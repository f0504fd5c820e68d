"""Zip and tar archives as file trees: members are read in place, nothing is unpacked next to the user's files.

A compressed tar cannot be entered in the middle: it is decompressed once into a temporary file, which is removed when
the program ends. Members with unsafe paths, links and devices are refused; sizes are limited, so that a small archive
cannot fill the memory or the disk.
"""

import atexit
import bz2
import gzip
import lzma
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from coopt.data.tree import FileTree
from coopt.data.wording import count, some
from coopt.errors import DataError

MAX_MEMBERS = 5_000_000
MAX_MEMBER_BYTES = 2**30
"""Largest single member. Parquet shards of image data sets are about half of this."""
FREE_BYTES = 2**30
"""A tar may always grow to this size when decompressed."""
MAX_RATIO = 200
"""Largest decompressed size of a tar, beyond that, as a multiple of its compressed size."""

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DECOMPRESS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open, b"\xfd7": lzma.open}
"""How to open a compressed tar, by its first two bytes."""


def is_archive_name(name: str) -> bool:
    """Whether a file of this name is an archive that `ArchiveTree` opens."""
    return name.lower().endswith(SUFFIXES)


@dataclass(frozen=True)
class ArchiveMember:
    """One file inside an archive: picklable, opened in whichever process reads it."""

    archive: str
    member: str
    offset: int | None = None
    """Where a tar member's content starts; None for a zip."""
    size: int = 0

    def read(self, n_bytes: int | None = None) -> bytes:
        """The content of the member as bytes; its first `n_bytes` if that is given."""
        if self.offset is None:
            with _zip(self.archive, os.getpid(), os.stat(self.archive).st_mtime_ns).open(self.member) as file:
                content = file.read(MAX_MEMBER_BYTES + 1 if n_bytes is None else n_bytes)
            if len(content) > MAX_MEMBER_BYTES:
                raise OSError(f"it is larger than {MAX_MEMBER_BYTES:,} bytes")
            return content
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size if n_bytes is None else min(n_bytes, self.size))


class ArchiveTree(FileTree):
    """The files of an archive.

    Raises:
        DataError: it is damaged, encrypted, too large, or has members that point outside or are links.
    """

    def __init__(self, path: Path, ignore: Sequence[str] = ()) -> None:
        super().__init__(str(path), ignore)
        self._garbled: list[str] = []
        try:
            if zipfile.is_zipfile(path):
                self._list_zip(path)
            else:
                self._list_tar(path)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, lzma.LZMAError) as error:
            raise DataError(f"The archive '{path}' cannot be read: {error}.") from error
        self._finish()

    def notes(self) -> list[str]:
        """What a user should know of what was found and left out."""
        if not self._garbled:
            return super().notes()
        names = count(len(self._garbled), "name does", "names do")
        text = (
            f"{names} not say in which code page they are written, and they are not UTF-8: they are read as cp437, for "
            f"example {some(self._garbled[:1])}. If that is wrong, write the archive again with names in UTF-8."
        )
        return [text, *super().notes()]

    def _list_zip(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            names, self._garbled = zip_names(archive.infolist())
            for info, name in zip(archive.infolist(), names, strict=True):
                if info.is_dir():
                    self._add_folder(check_member(path, name, 0, False))
                    continue
                # The upper half of the external attributes holds the Unix mode; 0o12 in its top bits is a link.
                is_link = (info.external_attr >> 28) == 0o12
                if info.flag_bits & 1:
                    raise DataError(f"The archive '{path}' is encrypted ('{info.filename}'). Decrypt it first.")
                member = ArchiveMember(str(path.resolve()), info.filename)
                self._take(path, name, info.file_size, is_link, member)

    def _list_tar(self, path: Path) -> None:
        plain = _plain_tar(path)
        end = 0
        with tarfile.open(plain, "r:") as archive:
            for info in archive:
                end = max(end, info.offset_data + info.size)
                if info.isdir():
                    self._add_folder(check_member(path, info.name, 0, False))
                    continue
                member = ArchiveMember(str(plain), info.name, info.offset_data, info.size)
                self._take(path, info.name, info.size, not info.isreg() or info.issparse(), member)
        # A complete tar ends with blocks of zeros; the standard reader does not miss them.
        if plain.stat().st_size < -(-end // 512) * 512 + 512:
            raise tarfile.ReadError("it ends too early")

    def _take(self, path: Path, name: str, size: int, is_link: bool, member: ArchiveMember) -> None:
        parts = check_member(path, name, size, is_link)
        if len(self._sources) >= MAX_MEMBERS:
            raise DataError(f"The archive '{path}' has more than {MAX_MEMBERS:,} members. Unpack it.")
        self._add(parts, member)


def zip_names(members: Sequence[zipfile.ZipInfo]) -> tuple[list[str], list[str]]:
    """The names of a zip's members, and those of them whose code page is a guess.

    Many programs write UTF-8 without the flag that says so; Python then reads the bytes as cp437. They are UTF-8 where
    all of them can be; else none is, since a few bytes of another code page may look like UTF-8 by chance.
    """
    unsaid: dict[str, str | None] = {}
    for name in (info.filename for info in members if not info.flag_bits & 0x800 and not info.filename.isascii()):
        try:
            unsaid[name] = name.encode("cp437").decode("utf-8")
        except UnicodeEncodeError:  # from an extra field in Unicode
            unsaid[name] = name
        except UnicodeDecodeError:
            unsaid[name] = None
    if None in unsaid.values():
        return [info.filename for info in members], list(unsaid)
    return [unsaid.get(info.filename) or info.filename for info in members], []


def check_member(path: Path, name: str, size: int, is_link: bool) -> tuple[str, ...]:
    """The parts of a member's path, if it may be read."""
    parts = tuple(part for part in PurePosixPath(name.replace("\\", "/")).parts if part != ".")
    if name.startswith(("/", "\\")) or ".." in parts or (parts and ":" in parts[0]):
        raise DataError(f"The archive '{path}' has a member that points outside it: '{name}'. It is not read.")
    if is_link:
        raise DataError(f"The archive '{path}' has a member that is a link or a device: '{name}'. It is not read.")
    if size > MAX_MEMBER_BYTES:
        raise DataError(
            f"The archive '{path}' has a member of {size:,} bytes ('{name}'); the limit is {MAX_MEMBER_BYTES:,}. "
            f"Unpack the archive and give the folder."
        )
    return parts


def _plain_tar(path: Path) -> Path:
    with open(path, "rb") as file:
        opener = _DECOMPRESS.get(file.read(2))
    if opener is None:
        return path.resolve()
    limit = max(FREE_BYTES, MAX_RATIO * path.stat().st_size)
    handle, name = tempfile.mkstemp(prefix="coopt-", suffix=".tar")
    atexit.register(_remove, name, os.getpid())
    written = 0
    with os.fdopen(handle, "wb") as target, opener(path) as source:
        while chunk := source.read(2**20):
            written += len(chunk)
            if written > limit:
                _remove(name, os.getpid())
                raise DataError(
                    f"The archive '{path}' grows beyond {limit:,} bytes when decompressed. If it can be trusted, "
                    f"unpack it and give the folder."
                )
            target.write(chunk)
    return Path(name)


def _remove(name: str, owner: int) -> None:
    # A forked worker inherits the exit handlers; only the process that made the file removes it.
    if os.getpid() == owner:
        Path(name).unlink(missing_ok=True)


@lru_cache(maxsize=8)
def _zip(path: str, _process: int, _written: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
