"""The files of the cache's folder: listing, making room, removing. A file's modification time is its last use."""

import contextlib
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from coopt.features.cache_shards import SUFFIX

STALE_SECONDS = 3600
"""A temporary file of this age belongs to a process that was killed."""
LOCK_SECONDS = 30


def all_files(folder: Path) -> list[Path]:
    """Every file below `folder`, in order; folders that vanish or may not be entered count as empty."""
    return sorted(Path(place) / name for place, _, names in os.walk(folder) for name in names)


def shard_files(folder: Path) -> list[Path]:
    """The complete files of features below `folder`."""
    return [path for path in all_files(folder) if path.suffix == SUFFIX and not path.name.startswith(".")]


def lock(folder: Path) -> FileLock:
    """What a process holds while it removes files; reading and writing wait for nobody."""
    return FileLock(folder / ".lock", timeout=LOCK_SECONDS)


def make_room(folder: Path, size: int, max_bytes: int) -> None:
    """Remove what killed processes left, then the least recently used files, until `size` more bytes fit the cap.

    Raises:
        OSError: the folder cannot be changed, or another process holds the lock for too long.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        for path in all_files(folder):
            if path.suffix == ".tmp" and last_use(path) < time.time() - STALE_SECONDS:
                path.unlink(missing_ok=True)
        files = shard_files(folder)
        sizes = {path: size_of(path) for path in files}
        excess = sum(sizes.values()) + size - max_bytes
        for path in sorted(files, key=last_use):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= sizes[path]


def remove(folder: Path, paths: Sequence[Path]) -> None:
    """Remove some files below `folder`.

    Raises:
        OSError: as `make_room`.
    """
    if paths:
        with lock(folder):
            for path in paths:
                path.unlink(missing_ok=True)


def remove_all(folder: Path) -> int:
    """Remove every file and folder of the cache, and say how many bytes that freed.

    Raises:
        OSError: as `make_room`.
    """
    if not folder.is_dir():
        return 0
    with lock(folder):
        files = [path for path in all_files(folder) if path != folder / ".lock"]
        freed = sum(map(size_of, files))
        for path in files:
            path.unlink(missing_ok=True)
        for place, folders, _ in os.walk(folder, topdown=False):
            for name in folders:
                with contextlib.suppress(OSError):  # another process has just written into it
                    (Path(place) / name).rmdir()
    return freed


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where another process has removed it."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def last_use(path: Path) -> float:
    """Seconds since 1970; infinite where another process has removed the file."""
    try:
        return path.stat().st_mtime
    except OSError:
        return math.inf
