"""The features that one request already has, and those it still needs: what stands between encoding and the cache."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from coopt.data import ImageDataset
from coopt.data.batches import Transform
from coopt.features.cache import FeatureCache
from coopt.features.cache_keys import find_space, image_key, image_keys
from coopt.models import VLM

STORE_EVERY = 1024
"""Images after which new features are written: what a killed process loses at most."""


class KnownFeatures:
    """Features of a data set's images, filled from the cache and then by encoding.

    Args:
        vlm: the frozen model.
        dataset: N images.
        transform: how they become pixels.
        chunk: how many go through the tower at a time.
        cache: where features are kept; None keeps none.

    Attributes:
        features: (N, E), on the CPU; rows that are not `known` hold nothing of meaning.
        known: (N,), which rows there are.
    """

    def __init__(
        self, vlm: VLM, dataset: ImageDataset, transform: Transform, chunk: int, cache: FeatureCache | None
    ) -> None:
        self.dataset = dataset
        self.transform = transform
        self.cache = cache
        self.space = None if cache is None else find_space(vlm, transform, chunk)
        self.features: Float[Tensor, "N E"] = torch.zeros(len(dataset), vlm.embed_dim)
        self.known = np.zeros(len(dataset), dtype=bool)
        self._new: list[int] = []
        if cache is not None and self.space is not None:
            self.keys, self.readable = image_keys(dataset, transform)
            self.features, found = cache.look_up(self.space, self.keys)
            self.known = found & self.readable

    def add(self, indices: Int64[np.ndarray, " B"], features: Float[Tensor, "B E"]) -> None:
        """Take features that were just encoded, and write them to the cache when they are many."""
        self.features[torch.from_numpy(indices)] = features.cpu()
        self.known[indices] = True
        self._new += indices.tolist()
        if len(self._new) >= STORE_EVERY:
            self.write()

    def write(self) -> None:
        """Write what is new to the cache; images that changed while they were read are left out."""
        if self.cache is not None and self.space is not None:
            kept = [i for i in self._new if image_key(self.dataset, i, self.transform) == self.keys[i].tobytes()]
            self.cache.store(self.space, self.keys[kept], self.features[kept])
        self._new = []
