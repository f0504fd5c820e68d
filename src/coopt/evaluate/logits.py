"""Logits of a whole data set, whatever the learner looks at: features, pixels, or several views of each image."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from coopt.data import ImageDataset, Skipped, image_digest, iterate_pixels
from coopt.errors import DataError
from coopt.features import ImageFeatures, encode_batch, encode_dataset, training_augmentation
from coopt.features.encode import Progress
from coopt.methods import Classifier, Method
from coopt.models import VLM

PIXEL_VIEWS = 256
"""How many views of images are held as pixels at a time."""


@dataclass(frozen=True)
class ImageLogits:
    """Logits of the readable images of a data set, in its order."""

    logits: Float[Tensor, "N C"]
    """Float32, on the model's device."""
    indices: Int[Tensor, " N"]
    """Which images of the data set they are."""
    skipped: list[Skipped] = field(default_factory=list)
    """Name of and reason for each image that could not be read."""


@torch.no_grad()
def dataset_logits(
    vlm: VLM,
    learner: Method | Classifier,
    dataset: ImageDataset,
    *,
    encoded: ImageFeatures | None = None,
    seed: int = 1,
    batch_size: int = 64,
    n_workers: int = 0,
    strict: bool = False,
    progress: Progress = lambda done, total: None,
) -> ImageLogits:
    """Logits of every readable image.

    Args:
        vlm: the frozen model that the learner belongs to.
        learner: a trained method, or what is left of it as a matrix.
        dataset: N images.
        encoded: their plain features, where they are known; used if the learner looks at nothing else.
        seed: of the views that a method asks for at test time.
        batch_size: images at a time.
        n_workers: decoding processes.
        strict: make an unreadable image an error instead of skipping it.
        progress: called with images done and images in all.

    Raises:
        UnreadableImageError: an image cannot be read and `strict` is set.
        DataError: no image can be read, or a feature is not finite.
    """
    settings = {"batch_size": batch_size, "n_workers": n_workers, "strict": strict}
    if isinstance(learner, Method) and (learner.needs_pixels or learner.n_test_views):
        source = pixel_batches if learner.needs_pixels else view_batches
        skipped: list[Skipped] = []
        logits, indices = [], []
        with learner.fixed():
            for images, rows in source(vlm, learner, dataset, seed, skipped, settings):
                logits.append(learner(images).float())
                indices.append(rows)
                progress(int(rows[-1]) + 1, len(dataset))
        if not logits:
            raise DataError(f"None of the {len(dataset)} images can be read; the first: {': '.join(skipped[0])}.")
        progress(len(dataset), len(dataset))
        return ImageLogits(torch.cat(logits), torch.cat(indices), skipped)
    if encoded is None:
        encoded = encode_dataset(vlm, dataset, progress=progress, **settings)  # type: ignore[arg-type]
    features = encoded.features.to(vlm.device)
    # Where classes do not depend on the image all images are one matrix product; else a batch at a time.
    context = learner.fixed() if isinstance(learner, Method) else nullcontext()
    with context:
        has_text = isinstance(learner, Classifier) or learner._fixed is not None
        parts = [features] if has_text else features.split(batch_size)
        found = torch.cat([learner(part).float() for part in parts])
    return ImageLogits(found.to(vlm.device), encoded.indices, list(encoded.skipped))


def pixel_batches(
    vlm: VLM, method: Method, dataset: ImageDataset, seed: int, skipped: list[Skipped], settings: dict
) -> Iterator[tuple[Float[Tensor, "B 3 H W"], Int[Tensor, " B"]]]:
    """The model's own view of each image; fills `skipped` at the end."""
    batches = iterate_pixels(dataset, None, vlm.preprocess, **settings)
    for pixels, rows in batches:
        yield pixels.to(vlm.device), torch.as_tensor(rows)
    skipped += batches.skipped


def view_batches(
    vlm: VLM, method: Method, dataset: ImageDataset, seed: int, skipped: list[Skipped], settings: dict
) -> Iterator[tuple[Float[Tensor, "B V E"], Int[Tensor, " B"]]]:
    """Features of the plain image and of `n_test_views - 1` augmented views; fills `skipped` at the end."""
    n_views, size = method.n_test_views, settings["batch_size"]
    # Few images at a time as pixels, which are large; many as features, which the method takes together.
    few = settings | {"batch_size": max(1, min(size, PIXEL_VIEWS // n_views))}
    batches = iterate_pixels(dataset, None, ImageViews(vlm, n_views, seed), **few)
    features: list[Tensor] = []
    indices: list[int] = []
    for pixels, rows in batches:
        for views, row in zip(pixels, rows, strict=True):  # (3, V S, S)
            views = views.unflatten(1, (n_views, -1)).transpose(0, 1)  # (V, 3, S, S)
            features.append(encode_batch(vlm, views))  # an image's views alone, whatever else is in the batch
            indices.append(int(row))
        if len(indices) >= size:
            yield torch.stack(features), torch.tensor(indices)
            features, indices = [], []
    if indices:
        yield torch.stack(features), torch.tensor(indices)
    skipped += batches.skipped


class ImageViews:
    """An image as the model sees it and random crops of it, one below the other: (3, V S, S).

    The crops are drawn from the seed and the picture alone, so that they do not depend on what else is predicted.
    """

    def __init__(self, vlm: VLM, n_views: int, seed: int) -> None:
        self.plain = vlm.preprocess
        self.crops = [training_augmentation(vlm, seed, view) for view in range(n_views - 1)]

    def __call__(self, image: Image.Image) -> Tensor:
        """All views of one image."""
        picture = int(image_digest(image), 16)
        return torch.cat([self.plain(image), *(crop(image, picture) for crop in self.crops)], dim=1)
