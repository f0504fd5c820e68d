"""Writing files that are complete or absent: a temporary file beside the target, flushed to disk, then renamed."""

import errno
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the target's folder; on success it replaces the target, on failure it is removed.

    Raises:
        OSError: the disk is full or the folder cannot be written; the target is then what it was before.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync_file(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path | str, text: str) -> None:
    """Write `text` (UTF-8) atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_texts(folder: Path | str, texts: Mapping[str, str]) -> None:
    """Write several texts, by their path below `folder`: on failure the folder is what it was before.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    folder = Path(folder)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=".texts.", suffix=".tmp", dir=folder))
    try:
        for name, text in texts.items():
            write_text(staged / name, text)
        for name in texts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged / name, folder / name)
        _sync_folder(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if is_new:
            with suppress(OSError):  # something was written
                folder.rmdir()


def write_json(target: Path | str, value: Any) -> None:
    """Write `value` as indented JSON atomically."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_tensors(target: Path | str, tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Write torch tensors as safetensors atomically.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(target) as temporary:
        try:
            save_file(contiguous, temporary, metadata=metadata)
        except SafetensorError as error:  # how the library reports a full disk
            raise OSError(errno.EIO, f"cannot write the tensors ({error})", str(target)) from error


@contextmanager
def atomic_folder(target: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside the target; on success it becomes the target, on failure it is removed.

    The target must not exist yet, or be an empty folder.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o777 & ~_umask())
        files = [inner for inner in temporary.rglob("*") if inner.is_file()]
        # Side by side: a disk takes many requests in hardly more time than one.
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(_sync_file, files))
        _sync_folder(temporary)
        os.replace(temporary, target)
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def user_cache_folder() -> Path:
    """Where coopt keeps what it can make or fetch again: COOPT_CACHE, else the platform's folder for caches."""
    if not is_cache_off() and "COOPT_CACHE" in os.environ:
        return Path(os.environ["COOPT_CACHE"]).expanduser()
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "coopt" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "coopt"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "coopt"


def is_cache_off() -> bool:
    """Whether COOPT_CACHE is "off" or empty: features are not kept; downloads still go to the platform's folder."""
    return os.environ.get("COOPT_CACHE", "on").strip().lower() in ("off", "")


def _sync_file(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    # A rename is on the disk only when the folder that lists the name is; Windows has no such call.
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    # The umask can only be read by setting it; mkstemp ignores it and makes files private.
    mask = os.umask(0)
    os.umask(mask)
    return mask
