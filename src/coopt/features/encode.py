"""Images to features in batches, decoding beside the computing."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.data import Augmentation, ImageDataset, Skipped, iterate_pixels
from coopt.data.batches import Transform
from coopt.errors import DataError
from coopt.models import VLM

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


def training_augmentation(vlm: VLM, seed: int, epoch: int) -> Augmentation:
    """The random resized crop and flip of one epoch, at the model's own size and normalisation."""
    p = vlm.preprocess
    return Augmentation(p.size, p.mean, p.std, p.resample, seed, epoch)


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
) -> ImageFeatures:
    """Encode every readable image of `dataset`.

    Args:
        vlm: the frozen model.
        dataset: N images.
        transform: image to pixels (3, H, W); the model's own preprocessing when None.
        batch_size: images encoded at a time.
        n_workers: decoding processes beside this one; the result does not depend on it.
        strict: make an unreadable image an error instead of skipping it.
        progress: called after each batch.

    Raises:
        UnreadableImageError: an image cannot be read and `strict` is set.
        DataError: no image can be read, or a feature is not finite.
    """
    batches = iterate_pixels(
        dataset, None, transform or vlm.preprocess, batch_size=batch_size, n_workers=n_workers, strict=strict
    )
    features, kept = [], []
    for pixels, indices in batches:
        features.append(encode_batch(vlm, pixels))
        kept.append(torch.as_tensor(indices))
        progress(int(kept[-1][-1]) + 1, len(dataset))
    skipped = list(batches.skipped)
    if not features:
        raise DataError(
            f"None of the {len(dataset)} images can be read"
            + (f"; the first: {skipped[0].name}: {skipped[0].reason}." if skipped else ".")
        )
    progress(len(dataset), len(dataset))
    return ImageFeatures(torch.cat(features), torch.cat(kept), skipped)


def encode_views(
    vlm: VLM,
    dataset: ImageDataset,
    n_views: int,
    seed: int,
    *,
    batch_size: int = 64,
    n_workers: int = 0,
    progress: Progress = lambda done, total: None,
) -> Float[Tensor, "V N E"]:
    """Features of `n_views` augmented views of every image; 0 stands for one un-augmented view.

    View v is what a fresh augmentation would be in epoch v.

    Raises:
        UnreadableImageError: an image cannot be read (training images are checked when the shots are drawn).
    """
    transforms: list[Transform] = [training_augmentation(vlm, seed, view) for view in range(n_views)]
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
        )
        views.append(encoded.features)
    return torch.stack(views)
