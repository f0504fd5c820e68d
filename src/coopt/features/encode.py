"""Images to features in batches, decoding while the tower computes; what was encoded before comes from the cache.

The last bits of a feature depend on how many images go through the tower together, because matrix products of other
sizes add in another order. So the tower always gets the same number here, filled up where images are lacking: an
image's feature is then the same whatever else is encoded with it, and whether it was cached or not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.data import Augmentation, ImageDataset, Skipped, iterate_pixels
from coopt.data.augment import SCALE
from coopt.data.batches import Transform, Views
from coopt.errors import ConfigError, DataError
from coopt.features.cache import FeatureCache
from coopt.features.inputs import PLAIN, Inputs
from coopt.features.known import KnownFeatures
from coopt.messages import option
from coopt.models import VLM

CPU_CHUNK = 4
"""Images that go through the tower together on a CPU: larger models gain nothing from more, and a single image, as in a
prediction, costs at most as much as these."""
PIXEL_VIEWS = 256
"""How many images are held as pixels at a time, each view and frame counted, where an image has several."""

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""


@dataclass(frozen=True)
class ImageFeatures:
    """Features of the readable images of a data set, in its order."""

    features: Float[Tensor, "N ..."]
    """(N, E), or as `Inputs` says; not normalised, float32, on the model's device."""
    indices: Int[Tensor, " N"]
    """Which images of the data set they are."""
    skipped: list[Skipped] = field(default_factory=list)
    """Name of and reason for each image that could not be read."""

    def __repr__(self) -> str:
        """The shape, and how many were skipped."""
        return f"ImageFeatures(shape={tuple(self.features.shape)}, {len(self.skipped)} skipped)"


def training_augmentation(vlm: VLM, seed: int, epoch: int, min_crop: float = SCALE[0]) -> Augmentation:
    """The random resized crop and flip of one epoch, at the model's own size, scale and normalisation."""
    p = vlm.preprocess
    return Augmentation(p.size, p.mean, p.std, p.resample, seed, epoch, min_crop, p.scale)


@torch.no_grad()
def encode_batch(vlm: VLM, pixels: Float[Tensor, "B *V_F 3 H W"], inputs: Inputs = PLAIN) -> Float[Tensor, "B ..."]:
    """What `inputs` asks for, in float32: features or tokens, not normalised, or the pixels themselves.

    Axes of views and frames stay in their place.

    Raises:
        DataError: a feature is not a finite number (an overflow of half precision, or damaged weights).
    """
    if inputs.kind == "pixels":
        return pixels.to(vlm.device)
    flat = pixels.flatten(0, -4)  # (B V F, 3, H, W)
    plain = (inputs.kind, inputs.at) == ("features", "joint")
    features = vlm.encode_image(flat) if plain else vlm.encode_image_at(flat, inputs.kind, inputs.at)
    features = features.float()
    if not bool(torch.isfinite(features).all()):
        raise DataError(
            f"The model {vlm.name!r} gave image features that are not finite in {vlm.dtype}. "
            f"Use float32 ({option('--dtype float32', 'dtype float32')}), or check its weights."
        )
    return features.unflatten(0, pixels.shape[:-3])


def encode_dataset(
    vlm: VLM,
    dataset: ImageDataset,
    transform: Transform | None = None,
    *,
    inputs: Inputs = PLAIN,
    batch_size: int = 64,
    n_workers: int = 0,
    strict: bool = False,
    progress: Progress = lambda done, total: None,
    cache: bool = True,
) -> ImageFeatures:
    """Encode every readable image of `dataset` that the cache does not know.

    The features are the same to the last bit with and without the cache, and whatever it holds. Those of a transform
    that is neither the model's preprocessing nor an `Augmentation` are not cached. Each image is read once, and
    decoded only where the cache lacks it.

    Args:
        vlm: the frozen model.
        dataset: N images.
        transform: image to pixels (3, H, W); the model's own preprocessing when None.
        inputs: where in the tower the features are taken, and of how many frames; its views are not looked at.
        batch_size: images decoded at a time; on a GPU also encoded at a time.
        n_workers: further processes that decode; the result does not depend on it.
        strict: make an unreadable image an error instead of skipping it.
        progress: called with the number of cached images of the first batch, then after each batch.
        cache: look features up in the user's cache and keep them there (see `coopt.features.cache`).

    Raises:
        UnreadableImageError: an image cannot be read and `strict` is set.
        ConfigError: COOPT_CACHE_GB is not a number, or `inputs` asks for pixels.
        DataError: no image can be read, or a feature is not finite.
    """
    transforms = [transform or vlm.preprocess]
    rows, skipped = encode_rows(
        vlm, dataset, transforms, inputs, batch_size, n_workers, strict=strict, progress=progress, cache=cache
    )
    kept = torch.from_numpy(np.flatnonzero(rows.known[0]))
    check_readable(len(kept), len(dataset), skipped)
    return ImageFeatures(rows.features[0, kept].to(vlm.device), kept, skipped)


def encode_views(
    vlm: VLM,
    dataset: ImageDataset,
    n_views: int,
    seed: int,
    *,
    inputs: Inputs = PLAIN,
    min_crop: float = SCALE[0],
    batch_size: int = 64,
    n_workers: int = 0,
    progress: Progress = lambda done, total: None,
    cache: bool = True,
) -> Float[Tensor, "V N ..."]:
    """Features of `n_views` augmented views of every image; 0 stands for one un-augmented view.

    View v is what a fresh augmentation would be in epoch v. An image is decoded once for all its views.

    Raises:
        UnreadableImageError: an image cannot be read (training images are checked when the shots are drawn).
    """
    views: list[Transform] = [training_augmentation(vlm, seed, view, min_crop) for view in range(n_views)]
    views = views or [vlm.preprocess]
    rows, _ = encode_rows(
        vlm, dataset, views, inputs, batch_size, n_workers, strict=True, progress=progress, cache=cache
    )
    return rows.features.to(vlm.device)


def check_readable(n_readable: int, n_images: int, skipped: Sequence[Skipped]) -> None:
    """Refuse a data set none of whose images can be read.

    Raises:
        DataError: there is no readable image.
    """
    if n_readable == 0:
        first = f"; the first: {skipped[0].name}: {skipped[0].reason}." if skipped else "."
        raise DataError(f"None of the {n_images} images can be read{first}")


@torch.no_grad()
def encode_rows(
    vlm: VLM,
    dataset: ImageDataset,
    transforms: Sequence[Transform],
    inputs: Inputs,
    batch_size: int,
    n_workers: int,
    *,
    strict: bool,
    progress: Progress,
    cache: bool = True,
) -> tuple[KnownFeatures, list[Skipped]]:
    """Features of one view for each transform; one pass over the images, and another over those the cache lost."""
    if inputs.kind == "pixels":
        raise ConfigError("Pixels are not encoded; inputs.kind must be 'features' or 'tokens'.")
    chunk = CPU_CHUNK if vlm.device.type == "cpu" else batch_size
    rows = KnownFeatures(vlm, dataset, transforms, inputs, chunk, FeatureCache.from_environment() if cache else None)
    encoder = _Encoder(vlm, rows, inputs, chunk)
    n, n_views, several = len(dataset), len(transforms), len(transforms) * inputs.frames
    missing, skipped = np.arange(n), list[Skipped]()
    try:
        while len(missing):
            batches = iterate_pixels(
                dataset,
                missing,
                Views(transforms),
                batch_size=batch_size if several == 1 else max(1, min(batch_size, PIXEL_VIEWS // several)),
                n_workers=n_workers,
                strict=strict,
                n_frames=inputs.frames,
                keys=rows.keys,
            )
            for number, (pixels, indices) in enumerate(batches):
                rows.note(batches.keyed)
                if number == 0 and len(missing) == n:
                    progress(int(rows.expected.all(axis=0).sum()) * n_views, n * n_views)
                encoder.take(pixels, indices, has_known=len(indices) < len(batches.keyed))
                last = max([*batches.keyed, *indices.tolist()], default=-1)
                done = n - len(missing) + int(np.searchsorted(missing, last, side="right"))
                progress(done * n_views, n * n_views)
            encoder.encode()
            skipped += batches.skipped
            missing = rows.fetch()
    finally:  # what was encoded before an interruption is kept
        rows.write()
    progress(n * n_views, n * n_views)
    return rows, skipped


@dataclass
class _Encoder:
    """Encodes the views that the cache lacks; where it has some of a batch, the others wait until they fill a chunk."""

    vlm: VLM
    rows: KnownFeatures
    inputs: Inputs
    chunk: int
    waiting: list[tuple[Tensor, np.ndarray, np.ndarray]] = field(default_factory=list)
    """Pixels (n, 3, H, W), with an axis of frames where there are several; of which views; of which images."""

    def take(self, pixels: Float[Tensor, "B ..."], indices: Int[np.ndarray, " B"], *, has_known: bool) -> None:
        """Encode a batch of decoded images, (B, V, 3, H, W) or (B, V, F, 3, H, W)."""
        there = self.rows.known[:, indices] | self.rows.expected[:, indices]  # (V, B)
        views, at = np.nonzero(~there)
        if len(views):
            self.waiting.append((pixels[torch.from_numpy(at), torch.from_numpy(views)], views, indices[at]))
        self.encode(whole_chunks=has_known or bool(there.any()))

    def encode(self, *, whole_chunks: bool = False) -> None:
        """Encode what is waiting: exactly `chunk` images go through the tower at a time, the last ones with copies."""
        if not self.waiting:
            return
        pixels = torch.cat([item[0] for item in self.waiting])
        views, indices = (np.concatenate([item[i] for item in self.waiting]) for i in (1, 2))
        n = len(views) // self.chunk * self.chunk if whole_chunks else len(views)
        if n:
            self.rows.add(views[:n], indices[:n], _encode_in_chunks(self.vlm, pixels[:n], self.inputs, self.chunk))
        self.waiting = [(pixels[n:], views[n:], indices[n:])] if n < len(views) else []


def _encode_in_chunks(vlm: VLM, pixels: Float[Tensor, "n ..."], inputs: Inputs, chunk: int) -> Float[Tensor, "n ..."]:
    features = []
    for part in pixels.flatten(0, -4).split(chunk):  # frames count as images
        filled = torch.cat([part, part[:1].expand(chunk - len(part), -1, -1, -1)])  # (chunk, 3, H, W)
        features.append(encode_batch(vlm, filled, inputs)[: len(part)])
    return torch.cat(features).unflatten(0, pixels.shape[:-3])
