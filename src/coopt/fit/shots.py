"""Which images are learned from, which are chosen on, and which stay without their labels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from coopt.data import DataWarning, FewShot, ImageDataset, few_shot_subset, few_shot_train_val, find_unreadable
from coopt.data.checks import conflicts_note, label_conflicts
from coopt.data.few_shot import Check
from coopt.errors import DataError
from coopt.messages import option, tell
from coopt.tasks import Task


def draw_shots(
    task: Task,
    train: ImageDataset,
    val: ImageDataset | None,
    shots: int | None,
    seed: int,
    *,
    classes: Sequence[int] | None = None,
    strict: bool = False,
    n_workers: int = 0,
    check: Check | None = None,
) -> tuple[FewShot, FewShot | None]:
    """The training shots and the validation shots; all readable images when `shots` is None.

    Shots are drawn from all classes and then cut to `classes` (None keeps all). `check` says which images cannot be
    read; None decodes them.
    """
    settings: dict[str, Any] = {"classes": classes, "strict": strict, "n_workers": n_workers, "check": check}
    if shots is None:
        chosen = None if val is None else FewShot(of_classes(val, classes), positions(val, classes), [], [])
        return all_readable(train, strict, n_workers, check, classes), chosen
    strata = task.strata(train)
    if val is None:
        return few_shot_subset(train, shots, seed, strata=strata, **settings), None
    return few_shot_train_val(train, val, shots, seed, strata=strata, val_strata=task.strata(val), **settings)


def positions(dataset: ImageDataset, classes: Sequence[int] | None) -> np.ndarray:
    """Where the images of some classes stand; None means all."""
    if classes is None:
        return np.arange(len(dataset))
    return np.flatnonzero(np.isin(dataset.labels, list(classes)))  # type: ignore[arg-type]  # labelled: checked by learn


def of_classes(dataset: ImageDataset, classes: Sequence[int] | None) -> ImageDataset:
    """The images of some classes, renumbered; None means all."""
    return dataset if classes is None else dataset.select_classes(classes)


def all_readable(
    train: ImageDataset,
    strict: bool,
    n_workers: int,
    check: Check | None = None,
    classes: Sequence[int] | None = None,
) -> FewShot:
    """Every training image of the classes that can be read.

    Raises:
        DataError: a class has no readable image, or `strict` and a file is unreadable.
    """
    wanted = positions(train, classes)
    bad = check(train, wanted) if check else find_unreadable(train, wanted, n_workers=n_workers)
    kept = np.array([index for index in wanted.tolist() if index not in bad], dtype=np.int64)
    left = of_classes(train.subset(kept), classes)
    empty = [name for name, count in zip(left.class_names, left.class_counts(), strict=True) if count == 0]
    if bad and (strict or empty):
        name, reason = next(iter(bad.values()))
        raise DataError(
            f"{len(bad)} training image(s) cannot be read, the first is '{name}': {reason}."
            + (f" Nothing is left of the class {empty[0]!r}." if empty else "")
        )
    notes = (
        [f"{len(bad)} unreadable training image(s) left out: {', '.join(s.name for s in bad.values())}."] if bad else []
    )
    for note in notes:
        tell(note, DataWarning)
    return FewShot(left, kept, list(bad.values()), notes)


def rest_of(
    train: ImageDataset,
    drawn: FewShot,
    unlabelled: ImageDataset | None,
    n_workers: int = 0,
    classes: Sequence[int] | None = None,
) -> ImageDataset:
    """The images that a method learns from without labels: those given, or what was not drawn of the training images.

    The latter are of the same classes as the shots.

    Raises:
        DataError: none are given and all training images were drawn, or none can be read.
    """
    given = unlabelled
    if given is None:
        given = train.subset(np.setdiff1d(positions(train, classes), drawn.indices))
    bad = find_unreadable(given, n_workers=n_workers)
    left = [index for index in range(len(given)) if index not in bad]
    new = [skipped.name for skipped in bad.values() if skipped not in drawn.skipped]  # the others were told
    if not left and unlabelled is not None:
        raise DataError(f"None of the {len(given)} unlabelled images can be read: {', '.join(new[:3])}.")
    if new:
        tell(f"{len(new)} unreadable unlabelled image(s) left out: {', '.join(new)}.", DataWarning)
    if not left:
        raise DataError(
            "This method learns from unlabelled images too, and none are left: all training images are shots. Give "
            f"some ({option('--unlabelled', 'unlabelled=...')}), or take fewer shots."
        )
    return given.subset(left)


def tell_conflicts(train: ImageDataset) -> None:
    """Tell of pictures that are learned with several labels: at least one of the labels is wrong."""
    if conflicts := label_conflicts(train):
        tell(f"{conflicts_note(conflicts, 'the training images')}.", DataWarning)
