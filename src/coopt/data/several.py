"""Several data sets as one: the classes of all, told apart by the data set's name in front of the label."""

from collections.abc import Mapping

import numpy as np

from coopt.data.dataset import ImageDataset, Splits


def join_datasets(sources: Mapping[str, Splits]) -> Splits:
    """One data set of several: labels and image names become "data set/label"; the words stay.

    A part (train, val, test) has the images of the data sets that have it.
    """
    whole = {name: splits.any for name, splits in sources.items()}
    sizes = [len(part.class_names) for part in whole.values()]
    first = dict(zip(sources, np.cumsum([0, *sizes]).tolist(), strict=False))  # the number of its first class
    labels = [f"{name}/{label}" for name, part in whole.items() for label in part.class_labels or part.class_names]
    words = [word for part in whole.values() for word in part.class_names]
    parts: dict[str, ImageDataset | None] = {}
    for split in ("train", "val", "test", "all"):
        held = {name: splits.parts[split] for name, splits in sources.items() if split in splits.parts}
        if held:
            numbers = [part.labels + first[name] for name, part in held.items() if part.labels is not None]
            parts[split] = ImageDataset(
                images=[image for part in held.values() for image in part.images],
                labels=np.concatenate(numbers) if len(numbers) == len(held) else None,
                class_names=words,
                class_labels=labels,
                split=split,
                names=[f"{name}/{part.name(index)}" for name, part in held.items() for index in range(len(part))],
                groups=_groups(held),
                source=" and ".join(part.source or name for name, part in held.items()),
            )
    made_by = "; ".join(f"{name}: {splits.made_by}" for name, splits in sources.items())
    notes = tuple(f"{name}: {note}" for name, splits in sources.items() for note in splits.notes)
    parts["unsplit"] = parts.pop("all", None)
    return Splits(**parts, made_by=made_by, notes=notes, ignored_files=sum(s.ignored_files for s in sources.values()))


def _groups(held: Mapping[str, ImageDataset]) -> list[str] | None:
    """The groups of all, told apart like labels; None where one data set has none."""
    grouped = [(name, part.groups) for name, part in held.items() if part.groups is not None]
    return [f"{name}/{group}" for name, groups in grouped for group in groups] if len(grouped) == len(held) else None
