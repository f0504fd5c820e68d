"""The loop's batches: images as the method asked for them, with their targets, weights and unlabelled companions."""

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from coopt.data import epoch_order
from coopt.methods import Batch


@runtime_checkable
class Images(Protocol):
    """Images by index, such as `coopt.features.TrainingImages`."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def batches(self, epoch: int, indices: list[np.ndarray]) -> Iterator[tuple[Tensor, np.ndarray]]:
        """For each index batch the images as this epoch shows them, and the indices."""
        ...


@runtime_checkable
class Batches(Protocol):
    """What the loop asks for, such as `TrainingBatches`."""

    def __len__(self) -> int:
        """How many labelled images there are."""
        ...

    def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
        """One batch for each index batch; `first_step` is the place of the first one in its epoch."""
        ...


class TrainingBatches:
    """Labelled images for the loop.

    Args:
        images: N images.
        targets: theirs, as the task makes them.
        weight: what each image counts, 1 on average; None counts all alike.
        unlabelled: images that go beside them, as many in each step as labelled ones.
        seed: of the order of the unlabelled images.
    """

    def __init__(
        self,
        images: Images,
        targets: Shaped[Tensor, "N ..."],
        *,
        weight: Float[Tensor, " N"] | None = None,
        unlabelled: Images | None = None,
        seed: int = 1,
    ) -> None:
        self.images, self.targets, self.weight = images, targets, weight
        self.unlabelled, self.seed = unlabelled, seed

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, epoch: int, indices: list[np.ndarray], first_step: int = 0) -> Iterator[Batch]:
        """One batch for each index batch; `first_step` is the place of the first one in its epoch."""
        found = self.images.batches(epoch, indices)
        beside = self._unlabelled(epoch, indices, first_step)
        for (images, index), unlabelled in zip(found, beside, strict=True):
            rows = torch.as_tensor(index)
            yield Batch(
                images,
                self.targets[rows].to(images.device),
                rows,
                None if self.weight is None else self.weight[rows].to(images.device),
                unlabelled,
            )

    def _unlabelled(self, epoch: int, indices: list[np.ndarray], first_step: int) -> Iterator[Batch | None]:
        """The unlabelled batch of each step: the epoch's order of all of them, begun again where it ends."""
        if self.unlabelled is None or not indices:
            yield from [None] * len(indices)
            return
        order, size = epoch_order(len(self.unlabelled), self.seed + 1, epoch), len(indices[0])
        steps = range(first_step, first_step + len(indices))
        rows = [order[np.arange(step * size, (step + 1) * size) % len(order)] for step in steps]
        for images, index in self.unlabelled.batches(epoch, rows):
            yield Batch(images, index=torch.as_tensor(index))
