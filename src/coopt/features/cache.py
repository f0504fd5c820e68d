"""The feature cache on disk: files of rows under the user's cache folder, the least recently used removed first.

    features/<fingerprint>/<space>/<content>.safetensors

A file is complete or absent, is never changed, and is trusted only with its checksum, so any number of processes read
and write without waiting for each other; only removing needs the lock. A file's modification time is its last use.
Whatever goes wrong with the cache costs time, not results: it is told as a `CacheWarning`, and the work goes on.
"""

import contextlib
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from coopt.errors import ConfigError
from coopt.features.cache_files import make_room, remove, remove_all, shard_files, size_of
from coopt.features.cache_keys import KEY_BYTES, Space, order_keys
from coopt.features.cache_shards import DamagedShard, Shard, describe, join, open_shard, shard_bytes, write_shard
from coopt.files import is_cache_off, user_cache_folder
from coopt.messages import tell

DEFAULT_GB = 10.0
SMALL_BYTES = 2**24
"""Files below this size are joined ..."""
MAX_SMALL = 16
"""... when a space has so many of them: each costs a look at every request."""

_failed: set[Path] = set()
"""Folders that could not be written: told once per process, then not tried again."""


class CacheWarning(UserWarning):
    """The feature cache cannot be used as it should; results are the same, they only take longer."""


@dataclass(frozen=True)
class Backbone:
    """What the cache holds of one model."""

    fingerprint: str
    model: str
    images: int
    size: int
    """In bytes."""


class FeatureCache:
    """Rows of features by space and image key.

    Args:
        folder: where the files lie; made when something is written.
        max_bytes: the cap.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    @classmethod
    def from_environment(cls) -> "FeatureCache | None":
        """The user's cache; None where COOPT_CACHE is "off" or empty, or the cap is 0.

        Raises:
            ConfigError: COOPT_CACHE_GB is not a number from 0.
        """
        max_bytes = cap_bytes()
        return None if is_cache_off() or max_bytes == 0 else cls(user_cache_folder() / "features", max_bytes)

    def keys(self, space: Space) -> UInt8[np.ndarray, "n 16"]:
        """The keys of a space, sorted; a row may still be found damaged when it is looked up."""
        shards = [self._open(path, space) for path in shard_files(self._home(space))]
        found = [np.zeros((0, KEY_BYTES), dtype=np.uint8), *(shard.keys for shard in shards if shard is not None)]
        keys = np.concatenate(found)
        return keys[order_keys(keys)]

    def look_up(
        self, space: Space, keys: UInt8[np.ndarray, "N 16"]
    ) -> tuple[Float[Tensor, "N E"], Bool[np.ndarray, " N"]]:
        """The rows of `keys`, and which of them were found; the others' rows hold nothing of meaning."""
        features = torch.zeros(len(keys), space.width)
        found = np.zeros(len(keys), dtype=bool)
        for path in shard_files(self._home(space)):
            shard = self._open(path, space)
            if shard is None:
                continue
            rows, here = shard.find(keys)
            new = here & ~found
            if new.any() and self._is_sound(shard):
                features[torch.from_numpy(new)] = shard.features[torch.from_numpy(rows[new])]
                found |= new
                with contextlib.suppress(OSError):  # a cache that may only be read
                    os.utime(path)
        return features, found

    def store(self, space: Space, keys: UInt8[np.ndarray, "n 16"], features: Float[Tensor, "n E"]) -> None:
        """Keep rows, after removing the least recently used files where the cap asks for it; never an error."""
        size = shard_bytes(len(keys), space.width)
        if self.folder in _failed or len(keys) == 0:
            return
        if size > self.max_bytes:
            self._give_up(f"{size / 1e9:.2g} GB of features are more than its cap (COOPT_CACHE_GB)")
            return
        try:
            home = self._home(space)
            joined = self._to_join(space)
            if joined:
                keys, features = join(joined, keys, features)
            make_room(self.folder, shard_bytes(len(keys), space.width), self.max_bytes)
            written = write_shard(home, space, keys, features)
            remove(self.folder, [shard.path for shard in joined if shard.path != written])
        except OSError as error:  # no room, no right to write, a file system without locks
            self._give_up(f"{error.strerror or error}")

    def clear(self) -> int:
        """Remove everything and say how many bytes that freed.

        Raises:
            OSError: the folder cannot be changed.
        """
        return remove_all(self.folder)

    def backbones(self) -> list[Backbone]:
        """What is there, by model, the largest first."""
        found = []
        for home in sorted(self.folder.iterdir()) if self.folder.is_dir() else []:
            names, images, files = set(), 0, shard_files(home)
            for path in files:
                with contextlib.suppress(DamagedShard, OSError):
                    name, n = describe(path)
                    names.add(name)
                    images += n
            if files:
                found.append(Backbone(home.name, ", ".join(sorted(names)), images, sum(map(size_of, files))))
        return sorted(found, key=lambda backbone: -backbone.size)

    def _home(self, space: Space) -> Path:
        # A fingerprint is hexadecimal where coopt loaded the model; whoever builds a VLM may call it anything.
        return self.folder / re.sub(r"[^0-9A-Za-z-]", "-", str(space.facts["fingerprint"]))[:64] / space.digest

    def _open(self, path: Path, space: Space) -> Shard | None:
        try:
            return open_shard(path, space.digest)
        except DamagedShard as damage:
            self._discard(path, damage)
        except OSError:  # another process has removed it, or it belongs to somebody else
            pass
        return None

    def _is_sound(self, shard: Shard) -> bool:
        try:
            shard.check_rows()
        except DamagedShard as damage:
            self._discard(shard.path, damage)
            return False
        return True

    def _discard(self, path: Path, damage: DamagedShard) -> None:
        with contextlib.suppress(OSError):
            path.unlink()
        _warn(f"A file of the feature cache is damaged and is made again: {path} ({damage}).")

    def _to_join(self, space: Space) -> list[Shard]:
        """The small files of a space, if there are so many that they become one."""
        small = [path for path in shard_files(self._home(space)) if size_of(path) < SMALL_BYTES]
        if len(small) < MAX_SMALL or sum(map(size_of, small)) > self.max_bytes / 4:
            return []
        shards = [self._open(path, space) for path in small]
        return [shard for shard in shards if shard is not None and self._is_sound(shard)]

    def _give_up(self, reason: str) -> None:
        _failed.add(self.folder)
        _warn(
            f"Features are not kept in {self.folder} from here on: {reason}. Results are the same, but images are "
            "encoded again next time. Make room, name another folder (COOPT_CACHE), or set COOPT_CACHE=off."
        )


def cap_bytes() -> int:
    """COOPT_CACHE_GB, in bytes of 10^9 per gigabyte.

    Raises:
        ConfigError: it is not a number from 0.
    """
    text = os.environ.get("COOPT_CACHE_GB", "").strip() or str(DEFAULT_GB)
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = math.nan
    if not 0 <= gigabytes < math.inf:
        raise ConfigError(f"COOPT_CACHE_GB is {text!r}; allowed is a number of gigabytes from 0, such as 10.")
    return int(gigabytes * 1e9)


def _warn(message: str) -> None:
    tell(message, CacheWarning)
