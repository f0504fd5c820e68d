"""One file of cached features: sorted keys and their rows in safetensors, each part with a checksum.

The file is mapped into memory. Its keys (16 bytes an image) are checked whenever it is opened, its rows when one of
them is wanted.
"""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from safetensors import SafetensorError, safe_open
from torch import Tensor, cat, from_numpy

from coopt.features.cache_keys import KEY_BYTES, Space, find_keys, order_keys
from coopt.files import write_tensors

SUFFIX = ".safetensors"


class DamagedShard(Exception):  # noqa: N818 - caught where it is raised for; no error that leaves the cache
    """A file of the cache is not what was written."""


@dataclass(frozen=True)
class Shard:
    """An open file of the cache, its keys checked.

    Shape:
        - keys: (n, 16), sorted
        - features: (n, E)
    """

    path: Path
    keys: UInt8[np.ndarray, "n 16"]
    features: Float32[Tensor, "n E"]
    checksum: str
    """Of the features, as written."""

    def find(self, keys: UInt8[np.ndarray, "N 16"]) -> tuple[Int64[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
        """The row of each key, and whether it is there."""
        return find_keys(self.keys, keys)

    def check_rows(self) -> None:
        """Compare the features with their checksum.

        Raises:
            DamagedShard: they changed.
        """
        if _checksum("features", self.features.numpy()) != self.checksum:
            raise DamagedShard("its features do not have their checksum")


def open_shard(path: Path, space: str) -> Shard:
    """Map a file and check its keys.

    Raises:
        DamagedShard: it is cut, changed, or of another space.
        OSError: it cannot be opened; FileNotFoundError where another process has removed it.
    """
    before = _state(path)
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            keys, features = file.get_tensor("keys").numpy(), file.get_tensor("features")
        if _checksum(facts["space"] + facts["model"] + facts["facts"], keys) != facts["keys"]:
            raise DamagedShard("its keys do not have their checksum")
        if facts["space"] != space or features.ndim != 2 or len(keys) != len(features) or len(keys) == 0:
            raise DamagedShard("it belongs elsewhere")
        return Shard(path, keys, features, facts["features"])
    except (SafetensorError, RuntimeError, KeyError, ValueError, UnicodeDecodeError) as error:
        # The library opens a file twice by its name, so another process may remove it, or write it anew, in between.
        if before is None or _state(path) != before:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
        raise DamagedShard(f"it cannot be read ({error})") from error


def write_shard(folder: Path, space: Space, keys: UInt8[np.ndarray, "n 16"], features: Float[Tensor, "n E"]) -> Path:
    """Write a file whose name stands for its content; of keys that come twice the first row is kept.

    Raises:
        OSError: the disk is full or the folder cannot be written; no part of the file is left.
    """
    order = order_keys(keys)
    keys, features = np.ascontiguousarray(keys[order]), features[from_numpy(order)].contiguous()
    facts = json.dumps(space.facts, sort_keys=True)
    metadata = {
        "space": space.digest,
        "model": space.model,
        "facts": facts,
        "keys": _checksum(space.digest + space.model + facts, keys),
        "features": _checksum("features", features.numpy()),
    }
    name = _checksum(metadata["keys"] + metadata["features"], keys[:1])
    path = folder / f"{name}{SUFFIX}"
    write_tensors(path, {"keys": from_numpy(keys), "features": features}, metadata)
    return path


def join(
    shards: Sequence[Shard], keys: UInt8[np.ndarray, "n 16"], features: Float[Tensor, "n E"]
) -> tuple[UInt8[np.ndarray, "m 16"], Float[Tensor, "m E"]]:
    """The rows of `keys`, then those of `shards`."""
    return np.concatenate([keys, *(s.keys for s in shards)]), cat([features, *(s.features for s in shards)])


def describe(path: Path) -> tuple[str, int]:
    """A file's model name and number of images, from its header.

    Raises:
        DamagedShard: the header cannot be read.
        OSError: the file cannot be opened.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {})["model"], int(file.get_slice("keys").get_shape()[0])
    except (SafetensorError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise DamagedShard(f"it cannot be read ({error})") from error


def shard_bytes(n_images: int, width: int) -> int:
    """About how large a file of so many images is."""
    return n_images * (KEY_BYTES + 4 * width) + 4096


def _state(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one written under its name; None where there is none."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return status.st_ino, status.st_mtime_ns
    return None


def _checksum(facts: str, array: np.ndarray) -> str:
    digest = hashlib.blake2b(f"{facts} {array.dtype} {array.shape}\n".encode(), digest_size=16)
    content: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)  # shares the array's memory
    digest.update(content)
    return digest.hexdigest()
