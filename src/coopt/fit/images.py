"""Where the loop's batches come from: cached feature views, freshly augmented and encoded images, or pixels."""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from coopt.data import Augmentation, ImageDataset, augmentation_rng, iterate_pixels
from coopt.data.augment import SCALE
from coopt.data.batches import Transform
from coopt.features import encode_batch, training_augmentation
from coopt.models import VLM


@runtime_checkable
class TrainingImages(Protocol):
    """Training images that the loop asks for by index."""

    def __len__(self) -> int:
        """How many images."""
        ...

    def batches(self, epoch: int, indices: list[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each index batch, what the method takes (features or pixels) and the labels."""
        ...


class FeatureViews:
    """Features of V views per image, computed once; each epoch draws one view of each image at random.

    Shape:
        - views: (V, N, E), not normalised
        - labels: (N,)
    """

    def __init__(self, views: Float[Tensor, "V N E"], labels: Int[Tensor, " N"], seed: int) -> None:
        self.views = views
        self.labels = labels.to(views.device)
        self.seed = seed

    def __len__(self) -> int:
        return self.views.shape[1]

    def batches(self, epoch: int, indices: list[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """Features (B, E) and labels (B,)."""
        n_views, n_images = self.views.shape[:2]
        # Index n_images belongs to no image, so this stream is no augmentation's.
        drawn = augmentation_rng(self.seed, epoch, n_images).integers(0, n_views, size=n_images)
        for batch in indices:
            rows = torch.as_tensor(batch, device=self.views.device)
            yield self.views[torch.as_tensor(drawn[batch], device=self.views.device), rows], self.labels[rows]


class AugmentedBatches:
    """Freshly augmented pixels (B, 3, H, W) in every epoch, for methods that change the image tower."""

    def __init__(
        self, vlm: VLM, dataset: ImageDataset, seed: int, n_workers: int = 0, *, min_crop: float = SCALE[0]
    ) -> None:
        self.vlm = vlm
        self.dataset = dataset
        self.labels = torch.as_tensor(dataset.labels, device=vlm.device)
        self.seed = seed
        self.n_workers = n_workers
        self.min_crop = min_crop

    def __len__(self) -> int:
        return len(self.dataset)

    def batches(self, epoch: int, indices: list[np.ndarray]) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels and labels (B,), on the model's device."""
        if not indices:
            return
        decoded = iterate_pixels(
            self.dataset,
            np.concatenate(indices),
            self.augmentation(epoch),
            batch_size=len(indices[0]),
            n_workers=self.n_workers,
            strict=True,
        )
        for pixels, rows in decoded:
            yield self.transform(pixels.to(self.vlm.device)), self.labels[torch.as_tensor(rows)]

    def augmentation(self, epoch: int) -> Transform:
        """What is done to an image in this epoch."""
        return training_augmentation(self.vlm, self.seed, epoch, self.min_crop)

    def transform(self, pixels: Float[Tensor, "B 3 H W"]) -> Tensor:
        """What the method takes."""
        return pixels


class PixelViews(AugmentedBatches):
    """Pixels (B, 3, H, W) of V augmented views per image, or of the plain images (0), for `recipe.views`.

    They are drawn as `FeatureViews` draws features.
    """

    def __init__(
        self,
        vlm: VLM,
        dataset: ImageDataset,
        n_views: int,
        seed: int,
        n_workers: int = 0,
        *,
        min_crop: float = SCALE[0],
    ) -> None:
        super().__init__(vlm, dataset, seed, n_workers, min_crop=min_crop)
        self.n_views = n_views

    def augmentation(self, epoch: int) -> Transform:
        """The model's own preprocessing, or the view that this epoch draws for each image."""
        if not self.n_views:
            return self.vlm.preprocess
        n = len(self.dataset)
        drawn = augmentation_rng(self.seed, epoch, n).integers(0, self.n_views, size=n)
        views = [training_augmentation(self.vlm, self.seed, view, self.min_crop) for view in range(self.n_views)]
        return _DrawnViews(views, drawn)


class _DrawnViews:
    """An image's view by its index (a class, so that decoding processes can be given it)."""

    takes_index = True

    def __init__(self, views: Sequence[Augmentation], drawn: np.ndarray) -> None:
        self.views, self.drawn = views, drawn

    def __call__(self, image: Image.Image, index: int) -> Tensor:
        return self.views[int(self.drawn[index])](image, index)


class EncodedBatches(AugmentedBatches):
    """Features (B, E), not normalised, of freshly augmented images in every epoch: the paper's way."""

    def transform(self, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
        """Through the frozen image tower."""
        return encode_batch(self.vlm, pixels)
