"""What the stages of training share: step-indexed batches in a worker, averaged weights, checkpoints, the log."""

import copy
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from coopt.files import atomic_path


class StepDataset(Dataset):
    """Item i is whatever `make(i)` returns: batches by step number, so that a resumed run sees the same ones."""

    def __init__(self, make: Callable[[int], Any], first: int, last: int) -> None:
        self.make, self.first, self.last = make, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> Any:
        if index >= len(self):
            raise IndexError(index)
        return self.make(self.first + index)


def step_batches(make: Callable[[int], Any], first: int, last: int, workers: int) -> Iterator[Any]:
    """Batches of the steps `first` to `last`, made ahead by `workers` processes (0: in this one)."""
    dataset = StepDataset(make, first, last)
    return iter(DataLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None))


class Parts:
    """Runs the parts of a batch side by side, one thread each.

    One thread a part with one meeting a step keeps two cores busy even when other work takes some of their time;
    two threads inside every operation would meet a thousand times a step and wait for the slower one each time.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.pool = ThreadPoolExecutor(count) if count > 1 else None

    def run(self, function: Callable[..., Any], *arguments: Sequence[Any]) -> list[Any]:
        """`function` over the parts, as `map` does."""
        return list((self.pool.map if self.pool else map)(function, *arguments))


def share_weights(module: nn.Module) -> nn.Module:
    """A copy of `module` with the same parameters but running statistics of its own."""
    twin = copy.deepcopy(module)
    for (_, owner), (_, other) in zip(module.named_modules(), twin.named_modules(), strict=True):
        for key, parameter in owner.named_parameters(recurse=False):
            setattr(other, key, parameter)
    return twin


class Average:
    """Exponential moving average of a module's weights and statistics."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards the module's present values; faster in the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        present = module.state_dict()
        moving = [name for name, value in present.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.values[name] for name in moving], [present[name] for name in moving], 1 - decay)
        for name in present.keys() - set(moving):
            self.values[name].copy_(present[name])


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay on matrices and kernels alone, not on biases, norms and scalars."""
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def save_state(path: Path, state: dict) -> None:
    """Write a checkpoint of tensors and plain values atomically."""
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path, device: torch.device) -> dict | None:
    """The checkpoint, or None where there is none yet."""
    if not path.exists():
        return None
    return torch.load(path, map_location=device, weights_only=True)


class Log:
    """One JSON line every `every` steps with the means of what was noted since the last line."""

    def __init__(self, path: Path, stage: str, every: int = 50) -> None:
        self.path, self.stage, self.every = path, stage, every
        self.sums: dict[str, float] = {}
        self.count, self.images, self.start = 0, 0, time.monotonic()
        path.parent.mkdir(parents=True, exist_ok=True)

    def note(self, step: int, images: int, **values: float) -> None:
        """Add one step's values; write a line when it is time."""
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1
        self.images += images
        if (step + 1) % self.every == 0:
            rate = self.images / (time.monotonic() - self.start)
            self.write({"step": step + 1, "images_per_second": round(rate)} | self._means())
            self.sums, self.count, self.images, self.start = {}, 0, 0, time.monotonic()

    def _means(self) -> dict[str, float]:
        return {name: round(total / self.count, 5) for name, total in self.sums.items()}

    def write(self, record: dict) -> None:
        """Append one record."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"stage": self.stage} | record) + "\n")
        print(self.stage, record, flush=True)
