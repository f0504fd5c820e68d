"""Test images in batches of what a method asked for (`Inputs`), in order, unreadable ones left out and reported."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from coopt.data import ImageDataset, Skipped, iterate_pixels
from coopt.data.batches import Views
from coopt.features.encode import (
    MAX_PIXELS,
    ImageFeatures,
    Progress,
    check_readable,
    encode_batch,
    encode_rows,
    training_augmentation,
)
from coopt.features.inputs import Inputs
from coopt.models import VLM

BLOCK_BYTES = 2**29
"""About how much of a data set's features or tokens is held at a time."""


class TestImages:
    """Test images in order, as a method looks at them: iterate for batches of images and their int64 indices.

    Views are drawn from the seed and the picture's content, so that they do not depend on what else is predicted, nor
    on the batch size.

    Args:
        vlm: the frozen model.
        dataset: N images.
        inputs: what the method looks at.
        seed: of the views.
        batch_size: images at a time; fewer where several views or frames are held as pixels.
        rows_at_once: rows of features of one view at a time; None takes all, as a matrix product can. Tokens come in
            batches always.
        n_workers: decoding processes.
        strict: make an unreadable image an error instead of skipping it.
        encoded: the plain features, where they are known; used where `inputs.are_plain`.
        progress: called with images done and images in all.

    Attributes:
        skipped: name of and reason for each image that could not be read, after a pass.

    Raises:
        UnreadableImageError: an image cannot be read and `strict` is set.
        DataError: no image can be read, or a feature is not finite.
    """

    __test__ = False  # for pytest, which takes the name for a test's

    def __init__(
        self,
        vlm: VLM,
        dataset: ImageDataset,
        inputs: Inputs,
        *,
        seed: int,
        batch_size: int = 64,
        rows_at_once: int | None = None,
        n_workers: int = 0,
        strict: bool = False,
        encoded: ImageFeatures | None = None,
        progress: Progress = lambda done, total: None,
    ) -> None:
        self.vlm, self.dataset, self.inputs, self.seed = vlm, dataset, inputs, seed
        self.batch_size, self.rows_at_once = batch_size, rows_at_once
        self.n_workers, self.strict, self.progress = n_workers, strict, progress
        self.encoded = encoded if inputs.are_plain else None
        self.skipped: list[Skipped] = []

    def __iter__(self) -> Iterator[tuple[Tensor, Int64[Tensor, " B"]]]:
        self.skipped = []
        n_readable = 0
        is_decoded = self.inputs.kind == "pixels" or self.inputs.test_views > 0
        for images, indices in self._decoded() if is_decoded else self._encoded():
            n_readable += len(indices)
            yield images, indices
            if is_decoded:
                self.progress(int(indices[-1]) + 1, len(self.dataset))
        check_readable(n_readable, len(self.dataset), self.skipped)
        if is_decoded:
            self.progress(len(self.dataset), len(self.dataset))

    def _encoded(self) -> Iterator[tuple[Float[Tensor, "B ..."], Int64[Tensor, " B"]]]:
        """Plain features or tokens: known, from the cache, or encoded, a block of the data set at a time."""
        blocks = iter([self.encoded]) if self.encoded is not None else self._blocks()
        for block in blocks:
            self.skipped += block.skipped
            n = len(block.indices)
            at_once = self.rows_at_once or (self.batch_size if self.inputs.kind == "tokens" else n)
            for start in range(0, n, max(1, at_once)):
                rows = slice(start, start + at_once)
                yield block.features[rows].to(self.vlm.device), block.indices[rows]

    def _blocks(self) -> Iterator[ImageFeatures]:
        """The data set's features, as many images at a time as `BLOCK_BYTES` hold."""
        n = len(self.dataset)
        size = max(self.batch_size, BLOCK_BYTES // (4 * math.prod(self.inputs.row_shape(self.vlm))))
        for start in range(0, n, size):

            def passed_on(done: int, total: int, before: int = start) -> None:
                self.progress(before + done, n)

            part = self.dataset if size >= n else self.dataset.subset(range(start, min(n, start + size)))
            how = [self.vlm.preprocess], self.inputs, self.batch_size, self.n_workers
            rows, skipped = encode_rows(self.vlm, part, *how, strict=self.strict, progress=passed_on)
            kept = torch.from_numpy(np.flatnonzero(rows.known[0]))
            yield ImageFeatures(rows.features[0, kept], start + kept, skipped)

    def _decoded(self) -> Iterator[tuple[Float[Tensor, "B ..."], Int64[Tensor, " B"]]]:
        """Pixels, or several views: the plain image first, then random crops of it."""
        n_views, n_frames = self.inputs.test_views, self.inputs.frames
        several = max(1, n_views) * n_frames
        # Few images at a time as pixels, which are large; many as features, which the method takes together.
        few = self.batch_size if several == 1 else max(1, min(self.batch_size, MAX_PIXELS // several))
        crops = [training_augmentation(self.vlm, self.seed, view) for view in range(n_views - 1)]
        batches = iterate_pixels(
            self.dataset,
            None,
            Views([self.vlm.preprocess, *crops], by_picture=True) if n_views else self.vlm.preprocess,
            batch_size=few,
            n_workers=self.n_workers,
            strict=self.strict,
            n_frames=n_frames,
        )
        images: list[Tensor] = []
        indices: list[int] = []
        for pixels, rows in batches:
            if self.inputs.kind == "pixels":
                yield encode_batch(self.vlm, pixels, self.inputs), torch.from_numpy(rows)
                continue
            # An image's views go through the tower by themselves, whatever else is in the batch.
            images += [encode_batch(self.vlm, image[None], self.inputs)[0] for image in pixels]
            indices += rows.tolist()
            if len(indices) >= (self.batch_size if self.inputs.kind == "features" else few):
                yield torch.stack(images), torch.tensor(indices)
                images, indices = [], []
        if indices:
            yield torch.stack(images), torch.tensor(indices)
        self.skipped += batches.skipped
