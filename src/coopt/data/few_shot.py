"""The few-shot sample of a data set: the authors' picks, with unreadable files replaced and shortages reported."""

import random
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from coopt.data.batches import Skipped, find_unreadable
from coopt.data.dataset import ImageDataset
from coopt.data.sampling import sample_few_shot, sample_few_shot_train_val
from coopt.data.wording import count, some
from coopt.errors import DataError


class DataWarning(UserWarning):
    """The data can be used, but not quite as asked."""


@dataclass(frozen=True, eq=False)
class FewShot:
    """A few images per class, all readable."""

    dataset: ImageDataset
    """The picked images."""
    indices: Int64[np.ndarray, " _"]
    """Their positions in the data set they were picked from."""
    skipped: list[Skipped]
    """Files that were picked and could not be read; others of their class stand in for them."""
    notes: list[str]
    """What a user should know, the same as the warnings."""


def few_shot_subset(
    dataset: ImageDataset, n_shots: int, seed: int, *, strict: bool = False, n_workers: int = 0
) -> FewShot:
    """Pick `n_shots` readable images per class, with a `DataWarning` for classes that have fewer.

    The picks are `sample_few_shot`'s. Each picked file is decoded once; one that cannot be read is replaced by another
    of its class, drawn from a stream of its own, so that all other picks stay what they were.

    Raises:
        DataError: the images are unlabelled, a class has no readable image, or `strict` and a file is unreadable.
        ConfigError: `n_shots` is below 1.
    """
    picks = sample_few_shot(_labels(dataset), n_shots, seed)
    return _readable(dataset, picks, n_shots, seed, strict, n_workers)


def few_shot_train_val(
    train: ImageDataset, val: ImageDataset, n_shots: int, seed: int, *, strict: bool = False, n_workers: int = 0
) -> tuple[FewShot, FewShot]:
    """As `few_shot_subset`, for training and validation images from one stream, as the authors draw them."""
    train_picks, val_picks = sample_few_shot_train_val(_labels(train), _labels(val), n_shots, seed)
    return (
        _readable(train, train_picks, n_shots, seed, strict, n_workers),
        _readable(val, val_picks, min(n_shots, 4), seed, strict, n_workers),
    )


def _labels(dataset: ImageDataset) -> Int64[np.ndarray, " _"]:
    if dataset.labels is None:
        raise DataError("A few-shot sample needs labels; these images are unlabelled.")
    return dataset.labels


def _readable(
    dataset: ImageDataset, picks: Int64[np.ndarray, " _"], n_shots: int, seed: int, strict: bool, n_workers: int
) -> FewShot:
    labels = _labels(dataset)
    bad = find_unreadable(dataset, picks, n_workers=n_workers)
    if bad and strict:
        name, reason = next(iter(bad.values()))
        raise DataError(
            f"Cannot read {count(len(bad), 'picked image', 'picked images')}, the first is '{name}': {reason}. "
            f"Repair or remove it, or leave strict off to use others instead."
        )
    taken = set(picks.tolist())
    replacements: dict[int, int | None] = {}
    for index in list(bad):
        label = int(labels[index])
        spare = [int(other) for other in np.flatnonzero(labels == label) if int(other) not in taken]
        # A stream by seed and class: hashed from text, the same on every platform.
        random.Random(f"replacement {seed} {label}").shuffle(spare)
        replacements[index] = None
        for other in spare:
            taken.add(other)
            found = find_unreadable(dataset, [other])
            bad.update(found)
            if not found:
                replacements[index] = other
                break
    chosen = [replacements.get(index, index) for index in picks.tolist()]
    indices = np.array([index for index in chosen if index is not None], dtype=np.int64)
    counts = np.bincount(labels[indices], minlength=len(dataset.class_names))
    notes = _notes(dataset, counts, n_shots, list(bad.values()))
    for note in notes:
        warnings.warn(note, DataWarning, stacklevel=3)
    return FewShot(dataset.subset(indices), indices, list(bad.values()), notes)


def _notes(dataset: ImageDataset, counts: np.ndarray, n_shots: int, skipped: list[Skipped]) -> list[str]:
    none = [dataset.class_names[label] for label in np.flatnonzero((counts == 0) & (dataset.class_counts() > 0))]
    if none:
        raise DataError(
            f"No readable image of: {some(none)}. The first unreadable file is '{skipped[0].name}': "
            f"{skipped[0].reason}."
        )
    notes = []
    short = [
        f"{dataset.class_names[label]} ({counts[label]})" for label in np.flatnonzero((counts > 0) & (counts < n_shots))
    ]
    if short:
        notes.append(f"Fewer than {n_shots} images, all of them used: {', '.join(short)}.")
    if skipped:
        files = ", ".join(f"'{name}' ({reason})" for name, reason in skipped[:5])
        more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        notes.append(f"{count(len(skipped), 'unreadable image', 'unreadable images')} left out: {files}{more}.")
    return notes
