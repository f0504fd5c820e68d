"""The few-shot sample of a data set: the authors' picks, with unreadable files replaced and shortages reported."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from coopt.data.batches import Skipped, find_unreadable
from coopt.data.dataset import ImageDataset
from coopt.data.sampling import VAL_SHOTS, Indices, sample_few_shot, sample_few_shot_train_val
from coopt.data.wording import count, some
from coopt.errors import DataError
from coopt.messages import tell


class DataWarning(UserWarning):
    """The data can be used, but not quite as asked."""


@dataclass(frozen=True, eq=False)
class FewShot:
    """A few images per class, all readable."""

    dataset: ImageDataset
    """The picked images, with their labels."""
    indices: Indices
    """Their positions in the data set they were picked from."""
    skipped: list[Skipped]
    """Files that were picked and could not be read; others of their class take their place."""
    notes: list[str]
    """What a user should know; it was told (`coopt.messages`)."""


Check = Callable[[ImageDataset, Indices], Mapping[int, Skipped]]
"""Finds the images that cannot be read among some positions of a data set, as `find_unreadable` does."""


def few_shot_subset(
    dataset: ImageDataset,
    n_shots: int,
    seed: int,
    *,
    strata: Indices | None = None,
    classes: Sequence[int] | None = None,
    strict: bool = False,
    n_workers: int = 0,
    check: Check | None = None,
) -> FewShot:
    """Pick `n_shots` readable images per class, with a `DataWarning` for classes that have fewer.

    The picks are `sample_few_shot`'s. One that cannot be read is replaced by another of its class, drawn from a stream
    of its own, so that all other picks stay what they were.

    Args:
        dataset: the images to pick from.
        n_shots: how many images per class.
        seed: of the picks.
        strata: a whole number from 0 for each image, in place of its label where there are no classes.
        classes: the labels to keep, renumbered in this order. The picks are drawn from all classes and then cut, as in
            the authors' code, so that each half of base-to-new has the picks of the whole data set.
        strict: make an unreadable pick an error.
        n_workers: decoding processes.
        check: finds unreadable images; by default each pick is decoded once for it.

    Raises:
        DataError: the images are unlabelled, a class has no readable image, or `strict` and a file is unreadable.
        ConfigError: `n_shots` is below 1.
    """
    pool = _Pool.of(dataset, strata, classes)
    picks = sample_few_shot(pool.groups, n_shots, seed)
    check = check or partial(find_unreadable, n_workers=n_workers)
    return _readable(pool, picks, n_shots, seed, strict, check)


def few_shot_train_val(
    train: ImageDataset,
    val: ImageDataset,
    n_shots: int,
    seed: int,
    *,
    strata: Indices | None = None,
    val_strata: Indices | None = None,
    classes: Sequence[int] | None = None,
    strict: bool = False,
    n_workers: int = 0,
    check: Check | None = None,
) -> tuple[FewShot, FewShot]:
    """As `few_shot_subset`, for training and validation images from one stream, as the authors draw them."""
    pool, val_pool = _Pool.of(train, strata, classes), _Pool.of(val, val_strata, classes)
    picks, val_picks = sample_few_shot_train_val(pool.groups, val_pool.groups, n_shots, seed)
    check = check or partial(find_unreadable, n_workers=n_workers)
    return (
        _readable(pool, picks, n_shots, seed, strict, check),
        _readable(val_pool, val_picks, min(n_shots, VAL_SHOTS), seed, strict, check),
    )


class _Pool(NamedTuple):
    """What is drawn from."""

    dataset: ImageDataset
    groups: Indices
    """One per image: its label, or its stratum."""
    names: list[str]
    """Of the groups."""
    kept: Bool[np.ndarray, " N"]
    """Whether an image is of the classes that are kept."""
    classes: Sequence[int] | None
    """The labels of those; None for all."""

    @classmethod
    def of(cls, dataset: ImageDataset, strata: Indices | None, classes: Sequence[int] | None) -> "_Pool":
        groups = _groups(dataset, strata)
        named = [f"stratum {number}" for number in range(groups.max(initial=0) + 1)]
        kept = np.ones(len(dataset), bool) if classes is None else np.isin(_groups(dataset, None), list(classes))
        return cls(dataset, groups, dataset.class_names if strata is None else named, kept, classes)


def _groups(dataset: ImageDataset, strata: Indices | None) -> Indices:
    groups = dataset.labels if strata is None else strata
    if groups is None:
        raise DataError("A few-shot sample needs labels; these images are unlabelled.")
    if len(groups) != len(dataset) or (len(groups) and groups.min() < 0):
        low = groups.min() if len(groups) else "none"
        raise DataError(
            f"There are {len(groups)} strata for {len(dataset)} images, the smallest is {low}; give a whole number "
            "from 0 for each image."
        )
    return groups


def _readable(pool: _Pool, picks: Indices, n_shots: int, seed: int, strict: bool, check: Check) -> FewShot:
    """The picks of the kept classes, with others in place of unreadable ones."""
    picks = picks[pool.kept[picks]]
    bad = dict(check(pool.dataset, picks))
    if bad and strict:
        name, reason = next(iter(bad.values()))
        raise DataError(
            f"Cannot read {count(len(bad), 'picked image', 'picked images')}, the first is '{name}': {reason}. "
            f"Repair or remove it, or leave strict off to use others instead."
        )
    replacements = _replacements(pool, picks, seed, bad, check)
    chosen = [replacements.get(index, index) for index in picks.tolist()]
    indices = np.array([index for index in chosen if index is not None], dtype=np.int64)
    groups, names = pool.groups, pool.names
    present, picked = (np.bincount(part, minlength=len(names)) for part in (groups[pool.kept], groups[indices]))
    notes = _notes(names, present, picked, n_shots, list(bad.values()))
    for note in notes:
        tell(note, DataWarning, stacklevel=3)
    shown = pool.dataset.subset(indices)
    if pool.classes is not None:
        shown = shown.select_classes(pool.classes)
    return FewShot(shown, indices, list(bad.values()), notes)


def _replacements(
    pool: _Pool, picks: Indices, seed: int, bad: dict[int, Skipped], check: Check
) -> dict[int, int | None]:
    """Another image of the same class for each unreadable pick, None where there is none; fills `bad` further."""
    taken = set(picks.tolist())
    replacements: dict[int, int | None] = {}
    for index in list(bad):
        group = int(pool.groups[index])
        same = np.flatnonzero((pool.groups == group) & pool.kept)
        spare = [int(other) for other in same if int(other) not in taken]
        # A stream by seed and class: hashed from text, the same on every platform.
        random.Random(f"replacement {seed} {group}").shuffle(spare)
        replacements[index] = None
        for other in spare:
            taken.add(other)
            found = check(pool.dataset, np.array([other]))
            bad.update(found)
            if not found:
                replacements[index] = other
                break
    return replacements


def _notes(
    names: list[str], present: np.ndarray, picked: np.ndarray, n_shots: int, skipped: list[Skipped]
) -> list[str]:
    none = [names[group] for group in np.flatnonzero((picked == 0) & (present > 0))]
    if none:
        raise DataError(
            f"No readable image of: {some(none)}. The first unreadable file is '{skipped[0].name}': "
            f"{skipped[0].reason}."
        )
    notes = []
    short = [f"{names[group]} ({picked[group]})" for group in np.flatnonzero((picked > 0) & (picked < n_shots))]
    if short:
        notes.append(f"Fewer than {n_shots} images, all of them used: {', '.join(short)}.")
    if skipped:
        files = ", ".join(f"'{name}' ({reason})" for name, reason in skipped[:5])
        more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        notes.append(f"{count(len(skipped), 'unreadable image', 'unreadable images')} left out: {files}{more}.")
    return notes
