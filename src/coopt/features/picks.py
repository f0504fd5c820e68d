"""Few-shot picks that are checked by encoding them, so that each is decoded once."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.data import ImageDataset, Skipped
from coopt.features.encode import Progress, encode_rows
from coopt.features.inputs import PLAIN, Inputs
from coopt.models import VLM


class EncodedPicks:
    """The `check` of `few_shot_subset`; what it encodes is kept for the training.

    Args:
        vlm: the frozen model.
        inputs: what is encoded of the plain images.
        n_workers: decoding processes.
        progress: called with images done and images in all, for each check.
    """

    def __init__(
        self, vlm: VLM, inputs: Inputs = PLAIN, *, n_workers: int = 0, progress: Progress = lambda done, total: None
    ) -> None:
        self.vlm, self.inputs, self.n_workers, self.progress = vlm, inputs, n_workers, progress
        self._rows: dict[ImageDataset, dict[int, Tensor]] = defaultdict(dict)

    def __call__(self, dataset: ImageDataset, indices: Int[np.ndarray, " n"]) -> dict[int, Skipped]:
        """Encode some images; those that cannot be read by position in the data set, with name and reason."""
        how = [self.vlm.preprocess], self.inputs, 64, self.n_workers
        rows, skipped = encode_rows(self.vlm, dataset.subset(indices), *how, strict=False, progress=self.progress)
        known = rows.known[0]
        for index, row in zip(indices[known], rows.features[0][torch.from_numpy(known)], strict=True):
            self._rows[dataset][int(index)] = row
        return dict(zip(indices[~known].tolist(), skipped, strict=True))

    def features(self, dataset: ImageDataset, indices: Sequence[int] | Int[np.ndarray, " n"]) -> Float[Tensor, "n ..."]:
        """Features of images that were checked, on the model's device."""
        return torch.stack([self._rows[dataset][int(index)] for index in indices]).to(self.vlm.device)
