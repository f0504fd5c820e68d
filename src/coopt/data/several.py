"""Several data sets as one: the classes of all, told apart by the data set's name in front of the label."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from coopt.data.dataset import ImageDataset, Splits


def join_datasets(sources: Mapping[str, Splits]) -> Splits:
    """One data set of several: labels and image names become "data set/label"; the words stay.

    A part (train, val, test) has the images of the data sets that have it.
    """
    whole = {name: splits.any for name, splits in sources.items()}
    offsets = np.cumsum([0, *(len(part.class_names) for part in whole.values())]).tolist()
    labels = [f"{name}/{label}" for name, part in whole.items() for label in part.class_labels or part.class_names]
    words = [word for part in whole.values() for word in part.class_names]
    parts = {}
    for split in ("train", "val", "test"):
        held = [
            (name, found, offset)
            for (name, splits), offset in zip(sources.items(), offsets, strict=False)
            if (found := splits.parts.get(split)) is not None
        ]
        parts[split] = _joined(held, words, labels) if held else None
    made_by = "; ".join(f"{name}: {splits.made_by}" for name, splits in sources.items())
    notes = tuple(f"{name}: {note}" for name, splits in sources.items() for note in splits.notes)
    return Splits(**parts, made_by=made_by, notes=notes, ignored_files=sum(s.ignored_files for s in sources.values()))


def _joined(held: Sequence[tuple[str, ImageDataset, int]], words: list[str], labels: list[str]) -> ImageDataset:
    parts = [part for _, part, _ in held]
    is_labelled = all(part.labels is not None for part in parts)
    return replace(
        parts[0],
        images=[image for part in parts for image in part.images],
        labels=np.concatenate([part.labels + offset for _, part, offset in held if part.labels is not None])
        if is_labelled
        else None,
        class_names=words,
        class_labels=labels,
        names=[f"{name}/{part.name(index)}" for name, part, _ in held for index in range(len(part))],
        source=" and ".join(part.source or name for name, part, _ in held),
    )
