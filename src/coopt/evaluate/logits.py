"""Logits of a whole data set, whatever the predictor looks at: features, tokens, pixels, views or frames."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from coopt.data import ImageDataset, Skipped
from coopt.features import ImageFeatures, TestImages
from coopt.features.encode import Progress
from coopt.methods import Predictor
from coopt.models import VLM
from coopt.tasks import Metrics, Task


@dataclass(frozen=True)
class ImageLogits:
    """Logits of the readable images of a data set, in its order."""

    logits: Float[Tensor, "N C"]
    """Float32, on the model's device."""
    indices: Int[Tensor, " N"]
    """Which images of the data set they are."""
    skipped: list[Skipped] = field(default_factory=list)
    """Name of and reason for each image that could not be read."""

    def __repr__(self) -> str:
        """How many images and classes."""
        n_images, n_classes = self.logits.shape
        return f"ImageLogits({n_images} images, {n_classes} classes, {len(self.skipped)} skipped)"


@torch.no_grad()
def dataset_logits(
    vlm: VLM,
    predictor: Predictor,
    dataset: ImageDataset,
    *,
    encoded: ImageFeatures | None = None,
    seed: int = 1,
    batch_size: int = 64,
    n_workers: int = 0,
    strict: bool = False,
    progress: Progress = lambda done, total: None,
) -> ImageLogits:
    """Logits of every readable image, in order; a predictor that learns on a stream begins anew.

    Args:
        vlm: the frozen model that the predictor belongs to.
        predictor: what is left of a trained method.
        dataset: N images.
        encoded: their plain features, where they are known; used if the predictor looks at nothing else.
        seed: of the views that a method asks for at test time, and of what it draws then.
        batch_size: images at a time.
        n_workers: decoding processes.
        strict: make an unreadable image an error instead of skipping it.
        progress: called with images done and images in all.

    Raises:
        UnreadableImageError: an image cannot be read and `strict` is set.
        DataError: no image can be read, or a feature is not finite.
    """
    images = TestImages(
        vlm,
        dataset,
        predictor.inputs,
        seed=seed,
        batch_size=batch_size,
        n_workers=n_workers,
        strict=strict,
        encoded=encoded,
        # A matrix over plain features takes all images in one product.
        rows_at_once=None if predictor.linear is not None else batch_size,
        progress=progress,
    )
    predictor.reset()
    with own_stream(seed):
        parts = [(predictor(shown).float().to(vlm.device), rows) for shown, rows in images]
    return ImageLogits(
        torch.cat([logits for logits, _ in parts]), torch.cat([rows for _, rows in parts]), list(images.skipped)
    )


@contextmanager
def own_stream(seed: int) -> Iterator[None]:
    """Random numbers of the seed; the caller's stay as they are. A GPU that nobody uses is not woken for it."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []):
        torch.manual_seed(seed)
        yield


def measure(task: Task, found: ImageLogits, dataset: ImageDataset, columns: Sequence[int] | None = None) -> Metrics:
    """The task's metrics of logits that were found for a labelled data set; of some `columns` only, where given.

    Raises:
        DataError: a label is none of the task's, or a logit is not finite.
    """
    logits = found.logits if columns is None else found.logits[:, columns]
    return task.metrics(logits, task.targets(dataset)[found.indices.cpu()].to(logits.device))
