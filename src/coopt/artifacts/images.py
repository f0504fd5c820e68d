"""Which images a run has seen: what it was trained on and the split that was made, by the content of the images."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from safetensors.torch import load_file

from coopt.data import ImageDataset, UnreadableImageError, image_digest, split_dataset
from coopt.data.digests import UNREADABLE
from coopt.errors import DataError
from coopt.files import write_tensors

Numbers = Int64[np.ndarray, " _"]
TRAINED_ON = "trained_on"
PARTS = ("train", "val", "test")
NOTHING: Numbers = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class SeenImages:
    """Numbers of images (see `coopt.data.ImageDataset.digests`)."""

    trained_on: Numbers = field(default_factory=NOTHING.copy)
    """The images that were learned from or chosen on."""
    split: Mapping[str, Numbers] = field(default_factory=dict)
    """All images of the data by part, where coopt made the split; empty where the source had parts of its own."""

    def write(self, path: Path) -> None:
        """Write one safetensors file."""
        arrays = {TRAINED_ON: self.trained_on, **self.split}
        write_tensors(path, {name: torch.from_numpy(np.array(numbers)) for name, numbers in arrays.items()})

    @classmethod
    def read(cls, path: Path) -> "SeenImages":
        """Back from the file.

        Raises:
            KeyError, ValueError, SafetensorError: it is no such file.
        """
        arrays = {name: tensor.numpy() for name, tensor in load_file(path).items()}
        wrong = [name for name, array in arrays.items() if array.dtype != np.int64 or array.ndim != 1]
        if wrong:
            raise ValueError(f"{path.name} holds no list of whole numbers under {', '.join(wrong)}")
        return cls(arrays[TRAINED_ON], {name: arrays[name] for name in PARTS if name in arrays})

    @property
    def not_for_testing(self) -> Numbers:
        """What a test part made by coopt must not hold: images trained on, and all of the other parts."""
        return np.concatenate([self.trained_on, *(self.split[name] for name in ("train", "val") if name in self.split)])

    def n_trained_on(self, dataset: ImageDataset) -> int:
        """How many images of a data set the run was trained on."""
        return int(dataset.among(self.trained_on).sum())

    def split_again(self, dataset: ImageDataset) -> tuple[dict[str, ImageDataset], int] | None:
        """The parts of the split that was made, and how many images are new; None where the data is other data.

        It is this data if half of it, or half of what was split, is known. New images are test images. A picture that
        is in several parts belongs to the first of them.
        """
        if not self.split:
            return None
        trained, left = dataset.among(self.trained_on), np.ones(len(dataset), dtype=bool)
        parts: dict[str, Numbers] = {}
        for name in PARTS:
            here = left & dataset.among(self.split.get(name, NOTHING))
            here &= ~trained if name == "test" else True
            parts[name], left = np.flatnonzero(here), left & ~here
        n_split = sum(len(numbers) for numbers in self.split.values())
        if 2 * sum(map(len, parts.values())) < max(1, min(len(dataset), n_split)):
            return None
        left &= ~trained
        # Unreadable images are told when they are decoded, as any others.
        parts["test"] = np.sort(np.concatenate([parts["test"], np.flatnonzero(left)]))
        n_new = int((left & (dataset.digests != UNREADABLE)).sum())
        return {name: dataset.subset(indices) for name, indices in parts.items() if len(indices)}, n_new


def seen_by_names(config: Mapping[str, Any], dataset: ImageDataset) -> SeenImages:
    """What a run of an earlier version has seen of a data set: it kept names, and digests of its first pictures.

    Names that agree by chance do not count: the first pictures must be the same.
    """
    facts = config.get("data") or {}
    names, digests = facts.get("trained_on") or [], facts.get("digests") or []
    place = {name: index for index, name in enumerate(dataset.names or [])}
    checked = [(place[name], digest) for name, digest in zip(names, digests, strict=False) if name in place]
    for index, digest in checked:
        try:
            if image_digest(dataset.load(index)) != digest:
                return SeenImages()
        except UnreadableImageError:
            continue
    if not checked:
        return SeenImages()
    trained_on = dataset.subset([place[name] for name in names if name in place]).digests
    split: dict[str, Numbers] = {}
    if str(facts.get("split", "")).startswith("coopt: ") and dataset.labels is not None:
        try:
            made = split_dataset(dataset, config.get("seed", 1))
        except DataError:  # a class has too few images by now
            return SeenImages(trained_on)
        split = {name: part.digests for name, part in made.parts.items()}
    return SeenImages(trained_on, split)
