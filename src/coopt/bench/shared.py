"""What a worker keeps between runs: the model, the last data sets, the features of test images."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch

from coopt.bench.choice import Places
from coopt.bench.grid import ModelChoice
from coopt.data import ImageDataset
from coopt.datasets import Benchmark
from coopt.errors import ModelError
from coopt.features import ImageFeatures, encode_dataset
from coopt.models import VLM, load_model


class HeldOut:
    """The test images of a data set, and their features once they are asked for."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.benchmark = benchmark
        assert benchmark.test is not None  # `choose` refuses others
        self.whole: ImageDataset = benchmark.test
        self._encoded: tuple[str, ImageFeatures] | None = None

    def part(self, classes: Sequence[int] | None) -> ImageDataset:
        """The images of some classes, relabelled from 0; all images for None."""
        return self.whole if classes is None else self.whole.select_classes(classes)

    def features(self, vlm: VLM, classes: Sequence[int] | None, n_workers: int = 0) -> ImageFeatures:
        """Features of `part(classes)`, cut from those of all test images."""
        if self._encoded is None or self._encoded[0] != vlm.fingerprint:
            self._encoded = (vlm.fingerprint, encode_dataset(vlm, self.whole, n_workers=n_workers))
        encoded = self._encoded[1]
        if classes is None:
            return encoded
        assert self.whole.labels is not None  # benchmarks are labelled
        kept = np.isin(self.whole.labels, list(classes))
        place = torch.as_tensor(np.cumsum(kept) - 1)  # of each image among those kept
        rows = torch.as_tensor(kept)[encoded.indices]
        names = {self.whole.name(int(index)) for index in np.flatnonzero(kept)}
        skipped = [item for item in encoded.skipped if item.name in names]
        return ImageFeatures(encoded.features[rows.to(encoded.features.device)], place[encoded.indices[rows]], skipped)


class Shared:
    """Kept by a process between its runs: the last model, and lists of images and features of the last data sets."""

    def __init__(self) -> None:
        self._load = lru_cache(maxsize=1)(
            lambda c: load_model(c.name, device=c.device, dtype=c.dtype, revision=c.revision)
        )
        self.benchmark = lru_cache(maxsize=2)(Places.load)
        # One source and its targets: the paper's suite has 11 data sets.
        self.test_set = lru_cache(maxsize=12)(lambda places, name: HeldOut(self.benchmark(places, name)))

    def model(self, choice: ModelChoice) -> VLM:
        """The backbone; a ModelError where its weights are not those that the run was planned with."""
        vlm = self._load(choice)
        if vlm.fingerprint != choice.fingerprint:
            raise ModelError(
                f"The model {choice.name!r} changed while the benchmark ran: its fingerprint is {vlm.fingerprint}, and "
                f"was {choice.fingerprint}. Start again."
            )
        return vlm
