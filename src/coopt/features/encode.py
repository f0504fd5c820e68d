"""Images to features in batches, decoding beside the computing; what was encoded before comes from the cache.

The last bits of a feature depend on how many images go through the tower together, because matrix products of other
sizes add in another order. So the tower always gets the same number here, filled up where images are lacking: an
image's feature is then the same whatever else is encoded with it, and whether it was cached or not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.data import Augmentation, ImageDataset, Skipped, iterate_pixels
from coopt.data.augment import SCALE
from coopt.data.batches import Transform
from coopt.errors import DataError
from coopt.features.cache import FeatureCache
from coopt.features.known import KnownFeatures
from coopt.models import VLM

CPU_CHUNK = 4
"""Images that go through the tower together on a CPU: larger models gain nothing from more, and one image alone, such
as in a prediction, costs at most as much as these."""

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""


@dataclass(frozen=True)
class ImageFeatures:
    """Features of the readable images of a data set, in its order."""

    features: Float[Tensor, "N E"]
    """Not normalised, float32, on the model's device."""
    indices: Int[Tensor, " N"]
    """Which images of the data set they are."""
    skipped: list[Skipped] = field(default_factory=list)
    """Name of and reason for each image that could not be read."""


def training_augmentation(vlm: VLM, seed: int, epoch: int, min_crop: float = SCALE[0]) -> Augmentation:
    """The random resized crop and flip of one epoch, at the model's own size and normalisation."""
    p = vlm.preprocess
    return Augmentation(p.size, p.mean, p.std, p.resample, seed, epoch, min_crop)


@torch.no_grad()
def encode_batch(vlm: VLM, pixels: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B E"]:
    """Features, not normalised, in float32.

    Raises:
        DataError: a feature is not a finite number (an overflow of half precision, or damaged weights).
    """
    features = vlm.encode_image(pixels).float()
    if not bool(torch.isfinite(features).all()):
        raise DataError(
            f"The model {vlm.name!r} gave image features that are not finite in {vlm.dtype}. "
            "Use float32 (--dtype float32), or check its weights."
        )
    return features


def encode_dataset(
    vlm: VLM,
    dataset: ImageDataset,
    transform: Transform | None = None,
    *,
    batch_size: int = 64,
    n_workers: int = 0,
    strict: bool = False,
    progress: Progress = lambda done, total: None,
    cache: bool = True,
) -> ImageFeatures:
    """Encode every readable image of `dataset` that the cache does not know.

    The features are the same to the last bit with and without the cache, and whatever it holds. Those of a transform
    that is neither the model's preprocessing nor an `Augmentation` are not cached.

    Args:
        vlm: the frozen model.
        dataset: N images.
        transform: image to pixels (3, H, W); the model's own preprocessing when None.
        batch_size: images decoded at a time; on a GPU also encoded at a time.
        n_workers: decoding processes beside this one; the result does not depend on it.
        strict: make an unreadable image an error instead of skipping it.
        progress: called with the number of cached images, then after each batch.
        cache: look features up in the user's cache and keep them there (see `coopt.features.cache`).

    Raises:
        UnreadableImageError: an image cannot be read and `strict` is set.
        ConfigError: COOPT_CACHE_GB is not a number.
        DataError: no image can be read, or a feature is not finite.
    """
    transform = transform or vlm.preprocess
    chunk = CPU_CHUNK if vlm.device.type == "cpu" else batch_size
    rows = KnownFeatures(vlm, dataset, transform, chunk, FeatureCache.from_environment() if cache else None)
    missing = np.flatnonzero(~rows.known)
    n_cached = len(dataset) - len(missing)
    progress(n_cached, len(dataset))
    n_workers = n_workers if len(missing) else 0
    batches = iterate_pixels(dataset, missing, transform, batch_size=batch_size, n_workers=n_workers, strict=strict)
    try:
        for pixels, indices in batches:
            rows.add(indices, _encode_in_chunks(vlm, pixels, chunk))
            progress(n_cached + int(np.searchsorted(missing, indices[-1])) + 1, len(dataset))
    finally:  # what was encoded before an interruption is kept
        rows.write()
    skipped = list(batches.skipped)
    kept = torch.from_numpy(np.flatnonzero(rows.known))
    if len(kept) == 0:
        raise DataError(
            f"None of the {len(dataset)} images can be read"
            + (f"; the first: {skipped[0].name}: {skipped[0].reason}." if skipped else ".")
        )
    progress(len(dataset), len(dataset))
    return ImageFeatures(rows.features[kept].to(vlm.device), kept, skipped)


def _encode_in_chunks(vlm: VLM, pixels: Float[Tensor, "B 3 H W"], chunk: int) -> Float[Tensor, "B E"]:
    """Encode exactly `chunk` images at a time, the last ones filled up with copies."""
    features = []
    for part in pixels.split(chunk):
        filled = torch.cat([part, part[:1].expand(chunk - len(part), -1, -1, -1)])  # (chunk, 3, H, W)
        features.append(encode_batch(vlm, filled)[: len(part)])
    return torch.cat(features)


def encode_views(
    vlm: VLM,
    dataset: ImageDataset,
    n_views: int,
    seed: int,
    *,
    min_crop: float = SCALE[0],
    batch_size: int = 64,
    n_workers: int = 0,
    progress: Progress = lambda done, total: None,
    cache: bool = True,
) -> Float[Tensor, "V N E"]:
    """Features of `n_views` augmented views of every image; 0 stands for one un-augmented view.

    View v is what a fresh augmentation would be in epoch v.

    Raises:
        UnreadableImageError: an image cannot be read (training images are checked when the shots are drawn).
    """
    transforms: list[Transform] = [training_augmentation(vlm, seed, view, min_crop) for view in range(n_views)]
    transforms = transforms or [vlm.preprocess]
    n, views = len(dataset), []
    for number, transform in enumerate(transforms):

        def passed_on(done: int, total: int, before: int = number * n) -> None:
            progress(before + done, len(transforms) * n)

        encoded = encode_dataset(
            vlm,
            dataset,
            transform,
            batch_size=batch_size,
            n_workers=n_workers,
            strict=True,
            progress=passed_on,
            cache=cache,
        )
        views.append(encoded.features)
    return torch.stack(views)
