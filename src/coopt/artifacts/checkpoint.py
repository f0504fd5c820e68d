"""Checkpoints that other projects' trainers wrote, read without running anything in them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from coopt.errors import ModelError
from coopt.models import read_objects, unwrapped

EPOCH = re.compile(r"model\.pth\.tar-(\d+)")
BEST = "model-best.pth.tar"
KEYS = re.compile(r"keys_(.+)\.pt")
TRAINED_KEYS = re.compile(r"best_F_(.+)\.pt")


@dataclass(frozen=True)
class Checkpoint:
    """What a file (or two, of a cache) holds."""

    file: Path
    tensors: dict[str, Tensor]
    """By the names of the file, in single precision; whole numbers as they are."""
    epoch: int | None = None
    notes: tuple[str, ...] = ()


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint of a trainer of Dassl's kind, or a cache of Tip-Adapter, from a file or the folder of one.

    Raises:
        ModelError: nothing is there, there are several, or a file is damaged or holds no tensors.
    """
    path = Path(path).expanduser()
    notes: tuple[str, ...] = ()
    if path.is_dir():
        folder, (path, notes) = path, _choose(path)
        notes = tuple(f"{note} of {folder}" for note in notes)
    if KEYS.fullmatch(path.name) or TRAINED_KEYS.fullmatch(path.name):
        return Checkpoint(path, _cache(path), notes=notes)
    value = read_objects(path)
    try:
        tensors = unwrapped(value)
    except ModelError as error:
        raise ModelError(f"'{path}': {error}") from error
    if not tensors:
        raise ModelError(f"'{path}': its state dict holds no tensors.")
    epoch = value.get("epoch") if isinstance(value, Mapping) else None
    single = {name: _single(name, tensor, path) for name, tensor in tensors.items()}
    return Checkpoint(path, single, epoch if isinstance(epoch, int) else None, notes)


def _choose(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The checkpoint in a folder: the best one, or the last, or the keys of a cache."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and not file.name.startswith("."))
    saved = [file for file in files if file.name == BEST or EPOCH.fullmatch(file.name)]
    caches = [file for file in files if KEYS.fullmatch(file.name) or TRAINED_KEYS.fullmatch(file.name)]
    homes = sorted({str(file.parent) for file in saved})
    if len(homes) > 1 or (saved and caches):
        raise ModelError(f"'{folder}' holds checkpoints of several runs, in {', '.join(homes[:4])}; give one of them.")
    if saved:
        chosen = max(saved, key=lambda file: (file.name == BEST, _epoch(file)))
        return chosen, (f"{chosen.name} is taken, of the {len(saved)} checkpoints",) if len(saved) > 1 else ()
    if len(caches) == 1:
        return caches[0], ()
    if caches:
        names = ", ".join(str(file.relative_to(folder)) for file in caches[:6])
        raise ModelError(f"'{folder}' holds {len(caches)} files with the keys of a cache: {names}. Give one of them.")
    raise ModelError(
        f"'{folder}' holds no checkpoint: no {BEST}, no model.pth.tar-N, and no keys_Nshots.pt of a cache. "
        "A file of another name is given by itself."
    )


def _epoch(file: Path) -> int:
    found = EPOCH.fullmatch(file.name)
    return int(found[1]) if found else 0


def _cache(path: Path) -> dict[str, Tensor]:
    """Keys (N, E) and one-hot labels (N, C) of a cache; the labels lie beside the keys."""
    trained = TRAINED_KEYS.fullmatch(path.name)
    shots = (trained or KEYS.fullmatch(path.name))[1]  # type: ignore[index]  # the caller has matched one
    beside = path.with_name(f"values_{shots}.pt")
    if not beside.is_file():
        raise ModelError(f"'{path}' holds the keys of a cache; its labels '{beside.name}' are not beside it.")
    keys, values = (_single(file.name, read_objects(file), file) for file in (path, beside))
    if keys.ndim != 2 or values.ndim != 2:
        raise ModelError(
            f"'{path}' has the shape {tuple(keys.shape)} and '{beside.name}' {tuple(values.shape)}; needed are keys "
            "(features, images) and labels (images, classes)."
        )
    keys = keys if trained else keys.T  # the authors save the keys of the training-free form as columns
    if len(keys) != len(values):
        raise ModelError(f"'{path}' has keys of {len(keys)} images, '{beside.name}' labels of {len(values)}.")
    if not bool(((values == 0) | (values == 1)).all() and (values.sum(1) == 1).all()):
        raise ModelError(f"'{beside}' holds other numbers than one 1 and else 0 for each image.")
    name = "trained_keys" if trained else "keys"
    return {name: keys.contiguous(), "values": values}


def _single(name: str, tensor: Any, path: Path) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise ModelError(f"'{path}' holds {type(tensor).__name__}, not a tensor.")
    if not tensor.is_floating_point():
        return tensor
    if not bool(torch.isfinite(tensor).all()):
        raise ModelError(
            f"'{path}': its tensor '{name}' holds numbers that are not finite: the training diverged, which training "
            "in half precision is known for. Take an earlier epoch."
        )
    return tensor.detach().float()
