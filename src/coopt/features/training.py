"""Training images in batches of what a method asked for (`Inputs`): encoded once, or decoded anew in each epoch."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor

from coopt.data import Augmentation, ImageDataset, augmentation_rng, iterate_pixels
from coopt.data.batches import Transform, Views
from coopt.features.encode import Progress, encode_batch, encode_views, training_augmentation
from coopt.features.inputs import Inputs
from coopt.models import VLM

Batches = Iterator[tuple[Tensor, np.ndarray]]


class FeatureViews:
    """Training images that are encoded already, in V views; each epoch draws one view of each image at random.

    Shape:
        - views: (V, N, ...), as `encode_views` returns them
    """

    def __init__(self, views: Float[Tensor, "V N ..."], seed: int) -> None:
        self.views = views
        self.seed = seed

    def __len__(self) -> int:
        return self.views.shape[1]

    def batches(self, epoch: int, indices: list[np.ndarray]) -> Batches:
        """For each index batch, features (B, ...) and the indices."""
        drawn = draw_views(self.seed, epoch, len(self), len(self.views))
        for batch in indices:
            views, rows = (torch.as_tensor(x, device=self.views.device) for x in (drawn[batch], batch))
            yield self.views[views, rows], batch


class TrainingImages:
    """Training images that the loop asks for by index: encoded once, or decoded anew in each epoch.

    Args:
        vlm: the frozen model.
        dataset: N readable images.
        inputs: what the method looks at; its frames are augmented alike.
        views: the recipe's: 0 for the plain images, V for one of V augmented views, drawn per image and epoch,
            "fresh" for new views in each epoch.
        seed: of the augmentation and of the views that are drawn.
        min_crop: smallest share of an image that a crop covers.
        n_parallel: 2 gives (B, 2, ...), whatever `views` says: the plain image ("weak"), then a view as "fresh" draws
            it ("strong").
        n_workers: decoding processes.
        encoded: features of the plain images (N, ...) or of views (V, N, ...) that are known; used where they are what
            `views` asks for.
        progress: called with views encoded and views in all.

    Raises:
        UnreadableImageError: an image cannot be read.
        DataError: a feature is not finite.
    """

    def __init__(
        self,
        vlm: VLM,
        dataset: ImageDataset,
        inputs: Inputs,
        *,
        views: int | str,
        seed: int,
        min_crop: float,
        n_parallel: int = 1,
        n_workers: int = 0,
        encoded: Float[Tensor, "..."] | None = None,
        progress: Progress = lambda done, total: None,
    ) -> None:
        self.vlm, self.dataset, self.inputs = vlm, dataset, inputs
        self.views, self.seed, self.min_crop = views, seed, min_crop
        self.n_parallel, self.n_workers = n_parallel, n_workers
        self._features: FeatureViews | None = None
        self._weak: Tensor | None = None
        stored = 0 if n_parallel == 2 else views
        if inputs.kind != "pixels" and not isinstance(stored, str):
            found = self._fitting(encoded, stored)
            if found is None:
                options = {"min_crop": min_crop, "n_workers": n_workers, "progress": progress}
                found = encode_views(vlm, dataset, stored, seed, inputs=inputs, **options)  # type: ignore[arg-type]
            if n_parallel == 2:
                self._weak = found[0]  # (N, ...): the same in each epoch
            else:
                self._features = FeatureViews(found, seed)

    def __len__(self) -> int:
        return len(self.dataset)

    def batches(self, epoch: int, indices: list[np.ndarray]) -> Batches:
        """For each index batch, what the method takes, on the model's device, and the indices."""
        if self._features is not None:
            yield from self._features.batches(epoch, indices)
        elif indices:
            decoded = iterate_pixels(
                self.dataset,
                np.concatenate(indices),
                self._transform(epoch),
                batch_size=len(indices[0]),
                n_workers=self.n_workers,
                strict=True,
                n_frames=self.inputs.frames,
            )
            for pixels, rows in decoded:
                shown = encode_batch(self.vlm, pixels, self.inputs)
                if self._weak is not None:
                    shown = torch.stack([self._weak[torch.as_tensor(rows, device=shown.device)], shown], dim=1)
                yield shown, rows

    def _fitting(self, encoded: Tensor | None, views: int) -> Float[Tensor, "V N ..."] | None:
        n_axes = 1 + len(self.inputs.row_shape(self.vlm))
        if encoded is not None and views == 0 and encoded.ndim == n_axes:
            return encoded[None]
        if encoded is not None and views and encoded.ndim == 1 + n_axes and len(encoded) >= views:
            return encoded[:views]
        return None

    def _transform(self, epoch: int) -> Transform:
        """What is done to an image in this epoch."""
        fresh = training_augmentation(self.vlm, self.seed, epoch, self.min_crop)
        if self.n_parallel == 2 and self._weak is None:
            return Views([self.vlm.preprocess, fresh])
        if isinstance(self.views, str) or self.n_parallel == 2:  # "fresh", or the strong view
            return fresh
        if self.views == 0:
            return self.vlm.preprocess
        return _DrawnViews(fresh, draw_views(self.seed, epoch, len(self), self.views))


class _DrawnViews:
    """An image's view by its index (a class, so that decoding processes can be given it)."""

    takes_index = True

    def __init__(self, augmentation: Augmentation, drawn: np.ndarray) -> None:
        self.augmentation, self.drawn = augmentation, drawn

    def __call__(self, image: Image.Image, index: int) -> Float[Tensor, "3 S S"]:
        return replace(self.augmentation, epoch=int(self.drawn[index]))(image, index)


def draw_views(seed: int, epoch: int, n_images: int, n_views: int) -> Int64[np.ndarray, " N"]:
    """Which view each image shows in an epoch."""
    # Index n_images belongs to no image, so this stream is no augmentation's.
    return augmentation_rng(seed, epoch, n_images).integers(0, n_views, size=n_images)
