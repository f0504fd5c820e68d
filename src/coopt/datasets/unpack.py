"""Unpacking a downloaded archive safely: no file outside the folder, no links or devices, limited sizes."""

import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from coopt.data.archives import FREE_BYTES, MAX_MEMBERS, MAX_RATIO, check_member, zip_names
from coopt.data.litter import is_hidden
from coopt.errors import DataError

BLOCK = 1 << 20


def unpack(archive: Path, out: Path, below: str = "") -> int:
    """Unpack a zip or tar into `out` and return the number of files.

    Args:
        archive: the file.
        out: a folder, made where it is missing.
        below: take only what lies below this folder of the archive, without it.

    Raises:
        DataError: it is damaged or encrypted, has a member that points outside, is a link or a device, or is far larger
            than its compressed size lets expect. What was unpacked before that stays in `out`.
    """
    limit = max(FREE_BYTES, MAX_RATIO * archive.stat().st_size)
    n_files = written = 0
    prefix = f"{below.strip('/')}/" if below else ""
    try:
        for name, file, size in _members(archive):
            if prefix and not name.startswith(prefix):
                continue
            n_files += 1
            if n_files > MAX_MEMBERS:
                raise DataError(f"The archive '{archive}' has more than {MAX_MEMBERS:,} files. It is not unpacked.")
            target = out / name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            before = written
            with open(target, "wb") as copy:
                while block := file.read(BLOCK):
                    written += len(block)
                    if written > limit:
                        raise DataError(
                            f"The archive '{archive}' grows beyond {limit:,} bytes when unpacked. It is not used."
                        )
                    copy.write(block)
            if written - before != size:
                raise EOFError(f"'{name}' ends after {written - before:,} of {size:,} bytes")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's own errors are none of the archive's
            raise
        raise DataError(f"The archive '{archive}' cannot be unpacked: {error}. Fetch it again.") from error
    if not n_files:
        raise DataError(f"The archive '{archive}' has no files{f' below {below!r}' if below else ''}.")
    return n_files


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes], int]]:
    """Path, content and size of every visible file; each is checked before it is opened."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            names, _ = zip_names(opened.infolist())
            for info, name in zip(opened.infolist(), names, strict=True):
                if info.is_dir():
                    continue
                # The upper half of the external attributes holds the Unix mode; 0o12 in its top bits is a link.
                parts = check_member(archive, name, info.file_size, (info.external_attr >> 28) == 0o12)
                if not any(map(is_hidden, parts)):
                    with opened.open(info) as file:
                        yield "/".join(parts), file, info.file_size
        return
    with tarfile.open(archive, "r|*") as stream:  # in one pass: a compressed tar cannot be entered in the middle
        for member in stream:
            if member.isdir():
                continue
            parts = check_member(archive, member.name, member.size, not member.isreg() or member.issparse())
            content = stream.extractfile(member)
            if content is not None and not any(map(is_hidden, parts)):
                yield "/".join(parts), content, member.size


def merge(source: Path, target: Path) -> None:
    """Move the files below `source` to the same places below `target`; files that are there stay as they are."""
    for folder, _, files in os.walk(source):
        here = target / Path(folder).relative_to(source)
        here.mkdir(parents=True, exist_ok=True)
        for name in files:
            if not (here / name).exists():
                os.replace(Path(folder) / name, here / name)
    shutil.rmtree(source)
