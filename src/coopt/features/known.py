"""The features that one request already has, and those it still needs: what stands between encoding and the cache."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from coopt.data import ImageDataset
from coopt.data.batches import Transform
from coopt.features.cache import FeatureCache
from coopt.features.cache_keys import KEY_BYTES, ContentKeys, find_keys, find_space
from coopt.features.inputs import Inputs
from coopt.models import VLM

STORE_EVERY = 1024
"""Images after which new features are written: what a killed process loses at most."""


class KnownFeatures:
    """Features of V views of a data set's images, filled by encoding and from the cache.

    Each image is given its keys while it is read; one whose views are all in the cache is not decoded. Those features
    are taken out of the cache at the end (`fetch`).

    Args:
        vlm: the frozen model.
        dataset: N images.
        transforms: how they become pixels, one transform for each view.
        inputs: where the features are taken, and of how many frames.
        chunk: how many go through the tower at a time.
        cache: where features are kept; None keeps none.

    Attributes:
        features: (V, N, ...), on the CPU; rows that are not `known` hold nothing of meaning.
        known: (V, N), which rows there are.
        expected: (V, N), which rows the cache has.
        keys: tells which images need not be decoded, for `iterate_pixels`; None without a cache.
    """

    def __init__(
        self,
        vlm: VLM,
        dataset: ImageDataset,
        transforms: Sequence[Transform],
        inputs: Inputs,
        chunk: int,
        cache: FeatureCache | None,
    ) -> None:
        shape = (len(transforms), len(dataset))
        self.features: Float[Tensor, "V N ..."] = torch.zeros(*shape, *inputs.row_shape(vlm))
        self.known: Bool[np.ndarray, "V N"] = np.zeros(shape, dtype=bool)
        self.expected: Bool[np.ndarray, "V N"] = np.zeros(shape, dtype=bool)
        self.keys: ContentKeys | None = None
        self._cache = cache
        self._keys = np.zeros((*shape, KEY_BYTES), dtype=np.uint8)
        self._keyed = np.zeros(len(dataset), dtype=bool)
        self._new = np.zeros(shape, dtype=bool)
        self._spaces = [find_space(vlm, transform, chunk, inputs) for transform in transforms] if cache else []
        if cache is not None and None not in self._spaces:
            there = [cache.keys(space) for space in self._spaces if space is not None]
            takes_index = [getattr(t, "takes_index", False) for t in transforms]
            self.keys = ContentKeys(takes_index, inputs.frames, there, dataset.image_bits)

    def note(self, keyed: dict[int, bytes]) -> None:
        """Take the keys of images that were read."""
        if self.keys is None or not keyed:
            return
        indices = np.fromiter(keyed, dtype=np.int64)  # (B,)
        joined = np.frombuffer(b"".join(keyed.values()), dtype=np.uint8)
        keys = joined.reshape(len(indices), -1, KEY_BYTES).swapaxes(0, 1)  # (V, B, 16)
        self._keys[:, indices] = keys
        self._keyed[indices] = True
        for view, (there, own) in enumerate(zip(self.keys.there, keys, strict=True)):
            self.expected[view, indices] = find_keys(there, own)[1]

    def add(
        self, views: Int64[np.ndarray, " n"], indices: Int64[np.ndarray, " n"], features: Float[Tensor, "n ..."]
    ) -> None:
        """Take features that were just encoded, and write them to the cache when they are many."""
        self.features[torch.from_numpy(views), torch.from_numpy(indices)] = features.cpu()
        self.known[views, indices] = self._new[views, indices] = True
        if self._new.sum() >= STORE_EVERY:
            self.write()

    def fetch(self) -> Int64[np.ndarray, " n"]:
        """Take the expected rows out of the cache, and say which images must be encoded after all.

        Those are rows of a file that was damaged or removed since; nothing is expected of the cache any more then.
        """
        for view, space in enumerate(self._spaces):
            indices = np.flatnonzero(self.expected[view])
            if self._cache is not None and space is not None and len(indices):
                rows, found = self._cache.look_up(space, self._keys[view, indices])
                at = indices[found]
                self.features[view, torch.from_numpy(at)] = rows[torch.from_numpy(found)].unflatten(
                    1, self.features.shape[2:]
                )
                self.known[view, at] = True
        lost = np.flatnonzero((self.expected & ~self.known).any(axis=0))
        self.expected[:] = False
        if self.keys is not None:
            self.keys.forget()
        return lost

    def write(self) -> None:
        """Write what is new to the cache."""
        for view, space in enumerate(self._spaces):
            indices = np.flatnonzero(self._new[view] & self._keyed)
            if self._cache is not None and self.keys is not None and space is not None:
                rows = self.features[view, torch.from_numpy(indices)].flatten(1)
                self._cache.store(space, self._keys[view, indices], rows)
        self._new[:] = False
