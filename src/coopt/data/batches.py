"""Batches of pixels from a data set, decoded here or in worker processes, unreadable images left out and reported."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from coopt.data.dataset import ImageDataset
from coopt.data.decode import UnreadableImageError, image_digest
from coopt.data.sources import open_frames, read_content
from coopt.errors import ConfigError

Transform = Callable[[Image.Image], Tensor] | Callable[[Image.Image, int], Tensor]
"""RGB image to (3, H, W), or to views (V, 3, H, W). One with a true attribute `takes_index` is also given the index in
the data set; one with a true `takes_picture` a number of the picture (of the first frame, where there are several)."""
Keys = Callable[[Any, int], tuple[bytes | None, bool]]
"""From an image's content (see `read_content`) and its index to its key, None where it has none, and whether it is
known: then it need not be decoded."""


class Views:
    """Several views of an image from one decoding: a transform to (V, 3, H, W).

    Args:
        transforms: one for each view.
        by_picture: those that take an index are given the picture's number in its place, so that what they draw does
            not depend on which other images there are.
    """

    takes_index = True

    def __init__(self, transforms: Sequence[Transform], *, by_picture: bool = False) -> None:
        self.transforms: Sequence[Callable[..., Tensor]] = transforms
        self.takes_picture = by_picture

    def __call__(self, image: Image.Image, number: int) -> Float[Tensor, "V 3 H W"]:
        """All views of one image."""
        return torch.stack(
            [t(image, number) if getattr(t, "takes_index", False) else t(image) for t in self.transforms]
        )


class Skipped(NamedTuple):
    """An image that could not be read."""

    name: str
    reason: str


class PixelBatch(NamedTuple):
    """Some images of a data set, transformed."""

    pixels: Float[Tensor, "B *V_F 3 H W"]
    """With axes for views and frames, where the transform makes views and where frames are asked for."""
    indices: Int64[np.ndarray, " B"]
    """Their positions in the data set; unreadable and known ones are missing."""


Decoded = tuple[Tensor, list[int], list[Skipped], dict[int, bytes]]
"""One batch: pixels, positions, unreadable images, and keys by position."""


@dataclass
class PixelBatches:
    """What `iterate_pixels` returns: iterate over it (as often as wanted), then look at `skipped`."""

    dataset: ImageDataset
    indices: Int64[np.ndarray, " _"]
    transform: Transform
    batch_size: int
    n_workers: int = 0
    strict: bool = False
    n_frames: int = 1
    keys: Keys | None = None
    skipped: list[Skipped] = field(default_factory=list)
    """The unreadable images of the latest pass, as far as it has come."""
    keyed: dict[int, bytes] = field(default_factory=dict)
    """The keys of the images of the latest batch, by position in the data set, the known ones among them."""

    def __len__(self) -> int:
        """Number of batches if every image is readable."""
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[PixelBatch]:
        """Yield the batches in order; one whose images are all unreadable is left out, unless there are `keys`.

        Raises:
            UnreadableImageError: an image cannot be read and `strict` is on.
        """
        self.skipped.clear()
        for pixels, positions, skipped, keyed in self._decoded():
            self.keyed = keyed
            if skipped and self.strict:
                raise UnreadableImageError(*skipped[0])
            self.skipped += skipped
            if len(positions) or self.keys:
                yield PixelBatch(pixels, np.array(positions, dtype=np.int64))

    def _decoded(self) -> Iterator[Decoded]:
        if self.n_workers == 0:
            return map(self.__getitem__, range(len(self)))
        # A generator of its own: the loader draws its workers' seed, and the caller's stream must not notice.
        loader = DataLoader(
            cast("Dataset[Decoded]", self),
            batch_size=None,
            sampler=range(len(self)),
            num_workers=min(self.n_workers, max(1, len(self))),
            generator=torch.Generator(),
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork of a process with threads, which torch always has. Workers here only
            # decode images and start no thread of their own.
            warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork", category=DeprecationWarning)
            return iter(loader)

    def __getitem__(self, batch: int) -> Decoded:
        """One batch, decoded. Errors travel as values: an exception would lose its type between processes."""
        pixels: list[Tensor] = []
        positions: list[int] = []
        skipped: list[Skipped] = []
        keyed: dict[int, bytes] = {}
        for index in self.indices[batch * self.batch_size : (batch + 1) * self.batch_size].tolist():
            try:
                found = self._pixels(index, keyed)
            except UnreadableImageError as error:
                skipped.append(Skipped(error.name, error.reason))
                if self.strict:
                    break
                continue
            if found is not None:
                pixels.append(found)
                positions.append(index)
        return torch.stack(pixels) if pixels else torch.empty(0), positions, skipped, keyed

    def _pixels(self, index: int, keyed: dict[int, bytes]) -> Float[Tensor, "*V_F 3 H W"] | None:
        """One image, transformed; None where its key is known."""
        source, name = self.dataset.images[index], self.dataset.name(index)
        if self.keys:
            source = read_content(source, name)  # read once: what is decoded is what the key is made of
            key, is_known = self.keys(source, index)
            if key is not None:
                keyed[index] = key
            if is_known:
                return None
        frames = open_frames(source, name, self.n_frames if self.n_frames > 1 else None, self.dataset.image_bits)
        number: tuple[int, ...] = ()
        if getattr(self.transform, "takes_picture", False):
            number = (int(image_digest(frames[0]), 16),)
        elif getattr(self.transform, "takes_index", False):
            number = (index,)
        transform: Callable[..., Tensor] = self.transform
        views = [transform(frame, *number) for frame in frames]
        return torch.stack(views, dim=-4) if self.n_frames > 1 else views[0]


def iterate_pixels(
    dataset: ImageDataset,
    indices: Sequence[int] | Int[np.ndarray, " _"] | None,
    transform: Transform,
    *,
    batch_size: int,
    n_workers: int = 0,
    strict: bool = False,
    n_frames: int = 1,
    keys: Keys | None = None,
) -> PixelBatches:
    """Decode and transform images in batches; the result is the same for any number of workers.

    Args:
        dataset: where the images come from.
        indices: which ones, in this order; all when None.
        transform: the model's `preprocess`, or an `Augmentation`.
        batch_size: how many of `indices` make a batch, before unreadable ones are left out.
        n_workers: worker processes that decode ahead; 0 decodes in this process.
        strict: whether an unreadable image is an error instead of being skipped.
        n_frames: frames of each image; more than 1 give an axis of that size before (3, H, W).
        keys: tells which images are known; those are read, but neither decoded nor returned.

    Raises:
        ConfigError: the batch size or the number of workers is out of range.
    """
    if batch_size < 1:
        raise ConfigError(f"The batch size is {batch_size}; it must be 1 or more.")
    if n_workers < 0:
        raise ConfigError(f"The number of workers is {n_workers}; it must be 0 (no workers) or more.")
    chosen = np.arange(len(dataset)) if indices is None else np.asarray(indices, dtype=np.int64)
    return PixelBatches(dataset, chosen.astype(np.int64), transform, batch_size, n_workers, strict, n_frames, keys)


def find_unreadable(
    dataset: ImageDataset,
    indices: Sequence[int] | Int[np.ndarray, " _"] | None = None,
    *,
    n_workers: int = 0,
) -> dict[int, Skipped]:
    """Decode images only to see which cannot be read: by position in the data set, with name and reason."""
    batches = iterate_pixels(dataset, indices, _no_pixels, batch_size=8, n_workers=n_workers)
    readable = {index for batch in batches for index in batch.indices.tolist()}
    bad = [index for index in batches.indices.tolist() if index not in readable]
    return dict(zip(bad, batches.skipped, strict=True))


def _no_pixels(image: Image.Image) -> Tensor:
    return torch.empty(3, 0, 0)
