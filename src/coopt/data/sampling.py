"""Which images a run sees: few-shot picks, base and new classes, splits and the order of an epoch.

Pure functions of labels and seeds. They reproduce the picks of the public code of CoOp and Dassl.pytorch
(Zhou et al., IJCV 2022; pinned in tests/goldens/data.json): one stream of Python's `random`, seeded once with the
run's seed, that draws per class in the order in which the classes first appear.
"""

import math
import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int, Int64

from coopt.errors import ConfigError

Labels = Sequence[int] | Int[np.ndarray, " _"]
"""Class indices, one per image."""
Indices = Int64[np.ndarray, " _"]
"""Positions in a list of images."""

NEIGHBOURS = 10
"""Images in a group of neighbouring numbers, of which each part of a split gets its share."""
VAL_SHOTS = 4
"""Most validation images per class in the authors' few-shot protocol: min(n_shots, 4)."""


def sample_few_shot(labels: Labels, n_shots: int, seed: int) -> Indices:
    """Pick `n_shots` images per class: the authors' training picks for this seed.

    A class with fewer images keeps them all, in order. The result lists the classes in the order of their
    first image, each in drawn order.

    Raises:
        ConfigError: `n_shots` is below 1.
    """
    return _draw_shots(labels, n_shots, random.Random(seed))


def sample_few_shot_train_val(
    train_labels: Labels, val_labels: Labels, n_shots: int, seed: int
) -> tuple[Indices, Indices]:
    """Pick `n_shots` training and then min(`n_shots`, 4) validation images per class from one random stream.

    Raises:
        ConfigError: `n_shots` is below 1.
    """
    stream = random.Random(seed)
    train = _draw_shots(train_labels, n_shots, stream)
    return train, _draw_shots(val_labels, min(n_shots, VAL_SHOTS), stream)


class ClassSubset(NamedTuple):
    """The images of some of the classes, as `split_classes` returns them."""

    indices: Indices
    """Positions of the kept images, in their order."""
    labels: Indices
    """Their labels, renumbered from 0."""
    classes: Indices
    """The kept classes by their old labels: `classes[new label] == old label`."""


def split_classes(labels: Labels, part: str, *, class_set: Labels | None = None) -> ClassSubset:
    """Keep the images of the base classes (the first half, rounded up, of the sorted labels) or of the new ones.

    Args:
        labels: one label per image.
        part: "base", "new", or "all" (which keeps and renumbers nothing away).
        class_set: the labels whose distinct values are the classes, where `labels` may lack some (the authors
            take the training labels for all three splits); `labels` itself when not given.

    Raises:
        ConfigError: `part` is not one of the three.
    """
    if part not in ("all", "base", "new"):
        raise ConfigError(f"The part of the classes is {part!r}; allowed are 'all', 'base' and 'new'.")
    label_array = np.asarray(labels, dtype=np.int64)  # (N,)
    classes = np.unique(np.asarray(label_array if class_set is None else class_set, dtype=np.int64))  # (C,) sorted
    n_base = math.ceil(len(classes) / 2)
    kept = {"all": classes, "base": classes[:n_base], "new": classes[n_base:]}[part]
    indices = np.flatnonzero(np.isin(label_array, kept)).astype(np.int64)
    return ClassSubset(indices, np.searchsorted(kept, label_array[indices]).astype(np.int64), kept)


def split_train_val(labels: Labels, seed: int, val_fraction: float = 0.2) -> tuple[Indices, Indices]:
    """Cut a fraction of each class off for validation, as the authors do for data sets with an official train part.

    Raises:
        ConfigError: a class has too few images to give one (`round(n * val_fraction)` is 0).
    """
    stream = random.Random(seed)
    train: list[int] = []
    val: list[int] = []
    for label, members in _members_by_class(labels).items():
        n_val = round(len(members) * val_fraction)
        if n_val == 0:
            raise ConfigError(
                f"Class {label} has {len(members)} image(s): a validation fraction of {val_fraction} takes none of "
                f"them. Use a larger fraction or more images."
            )
        stream.shuffle(members)
        val += members[:n_val]
        train += members[n_val:]
    return np.array(train, dtype=np.int64), np.array(val, dtype=np.int64)


def split_train_val_test(
    labels: Labels, seed: int, fractions: Sequence[float] = (0.5, 0.2, 0.3)
) -> tuple[Indices, Indices, Indices]:
    """Shuffle each class and cut it into train, validation and test: the authors' split of DTD, EuroSAT and others.

    Every class with two images or more gets one training and one test image at least (at the default fractions
    the authors' rounding does so from three images on).

    Raises:
        ConfigError: the fractions are not three non-negative numbers that add up to 1, or train or test is 0.
    """
    check_fractions(fractions)
    stream = random.Random(seed)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for members in _members_by_class(labels).values():
        stream.shuffle(members)
        n_train = max(1, round(len(members) * fractions[0]))
        n_val = round(len(members) * fractions[1])
        # Give the last image to the test set, first at the cost of validation, then of training.
        n_val = max(0, min(n_val, len(members) - n_train - 1))
        n_train = min(n_train, max(1, len(members) - n_val - 1))
        parts[0].extend(members[:n_train])
        parts[1].extend(members[n_train : n_train + n_val])
        parts[2].extend(members[n_train + n_val :])
    train, val, test = (np.array(part, dtype=np.int64) for part in parts)
    return train, val, test


def split_groups(
    labels: Labels, groups: Sequence[str], seed: int, fractions: Sequence[float] = (0.5, 0.2, 0.3)
) -> tuple[Indices, Indices, Indices]:
    """As `split_train_val_test`, with all images of a group (pictures of one object) in the same part.

    Groups are taken in an order drawn from the seed, those of the rarest classes first; each goes to the part whose
    share of the group's classes is farthest below `fractions`; every class is in train and in test where possible.
    """
    label_array = np.asarray(labels, dtype=np.int64)
    names = sorted(set(groups))
    number = {name: index for index, name in enumerate(names)}
    group_of = np.array([number[name] for name in groups], dtype=np.int64)
    counts = np.zeros((len(names), int(label_array.max(initial=0)) + 1))  # (groups, C)
    np.add.at(counts, (group_of, label_array), 1)
    per_class = (counts > 0).sum(0)  # (C,)
    order = list(range(len(names)))
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: per_class[counts[group] > 0].min())  # stable: the draw decides among equals
    totals = counts.sum(0)
    held = np.zeros((3, counts.shape[1]))
    part_of = np.zeros(len(names), dtype=np.int64)
    for group in order:
        here = counts[group] > 0
        missing = np.array(fractions)[:, None] * totals[here] - held[:, here]  # (3, classes here)
        score = (missing / totals[here]).sum(1)
        for part in (2, 0):  # a class without training or test images comes before all shares
            score[part] += 10 * int((held[part, here] == 0).sum())
        score[np.asarray(fractions) == 0] = -np.inf
        part_of[group] = int(score.argmax())
        held[part_of[group]] += counts[group]
    parts = part_of[group_of]
    train, val, test = (np.flatnonzero(parts == part).astype(np.int64) for part in range(3))
    return train, val, test


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse fractions that cannot cut a set in three.

    Raises:
        ConfigError: they are not three non-negative numbers that add up to 1, or train or test is 0.
    """
    if (
        len(fractions) != 3
        or min(fractions) < 0
        or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6)
        or fractions[0] == 0
        or fractions[2] == 0
    ):
        raise ConfigError(
            f"The split fractions are {tuple(fractions)}; give three numbers for train, validation and test that add "
            f"up to 1, train and test above 0, for example (0.5, 0.2, 0.3)."
        )


def epoch_order(n: int, seed: int, epoch: int) -> Indices:
    """The order in which epoch `epoch` (from 0) visits `n` images: it depends only on its arguments.

    It is the order that a torch DataLoader with shuffle draws in its epoch-th pass after `torch.manual_seed(seed)`:
    each pass takes two numbers from the stream, its workers' seed and the seed of its permutation. The authors' loop
    draws likewise, but making their model takes random numbers from the same stream first, so that their runs have
    another order. Replaying the stream keeps the order free of state, so that a resumed run is exact.
    """
    stream = torch.Generator().manual_seed(seed)
    for _ in range(epoch + 1):
        torch.empty((), dtype=torch.int64).random_(generator=stream)  # the workers' seed
        permutation_seed = int(torch.empty((), dtype=torch.int64).random_(generator=stream).item())
    permutation = torch.randperm(n, generator=torch.Generator().manual_seed(permutation_seed))
    return permutation.numpy()


def epoch_batches(n: int, batch_size: int, seed: int, epoch: int, *, drop_last: bool = True) -> list[Indices]:
    """`epoch_order` cut into batches; an incomplete last one is left out, unless it is the only one.

    Without `drop_last` it stays.
    """
    order = epoch_order(n, seed, epoch)
    stop = n - n % batch_size if drop_last and n >= batch_size else n
    return [order[start : start + batch_size] for start in range(0, stop, batch_size)]


def _members_by_class(labels: Labels) -> dict[int, list[int]]:
    # A dict keeps the order of first appearance, which is the order of the authors' draws.
    members: dict[int, list[int]] = {}
    for index, label in enumerate(np.asarray(labels, dtype=np.int64).tolist()):
        members.setdefault(label, []).append(index)
    return members


def _draw_shots(labels: Labels, n_shots: int, stream: random.Random) -> Indices:
    if n_shots < 1:
        raise ConfigError(f"The number of shots is {n_shots}; it must be 1 or more images per class.")
    picks: list[int] = []
    for members in _members_by_class(labels).values():
        # With exactly n_shots images the authors draw too, which permutes them and moves the stream on.
        picks += members if len(members) < n_shots else stream.sample(members, n_shots)
    return np.array(picks, dtype=np.int64)


def neighbouring(class_labels: Sequence[str], labels: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """Groups of `NEIGHBOURS` images that are neighbours in the order of their numbers; the last takes those left over.

    Labels that are not all numbers go by the order of the classes.
    """
    try:
        values = np.array([float(label) for label in class_labels])[labels]  # (N,)
    except ValueError:
        values = labels.astype(float)
    places = np.empty(len(values), dtype=np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(len(values))
    return np.minimum(places // NEIGHBOURS, max(0, len(values) // NEIGHBOURS - 1))
