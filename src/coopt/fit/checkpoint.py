"""A running fit on disk: parameters, optimizer, place. One safetensors file, complete or absent."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from coopt.errors import RunError
from coopt.files import write_tensors
from coopt.messages import option
from coopt.methods import Method

FORMAT = 2


@dataclass(frozen=True)
class TrainingState:
    """Where a fit stands: the next step of an epoch, its running sums, and the records of the epochs before it."""

    epoch: int
    step: int
    total_loss: float
    progress: float
    seen: int
    records: list[dict[str, Any]]


class Checkpoint:
    """Saves a fit at most every `every` seconds, and at once when it is told to stop.

    Args:
        path: the safetensors file.
        identity: what the run is (method, settings, recipe, seed, data, backbone). A checkpoint of another identity
            is refused.
        every: seconds between saves.
        resume: whether to go on from the file; otherwise it is only written.
    """

    def __init__(self, path: Path, identity: dict[str, Any], *, every: float = 20.0, resume: bool = False) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))
        self.every = every
        self.resume = resume
        self._saved = time.monotonic()

    def is_due(self) -> bool:
        """Whether the last save is longer ago than `every`."""
        return time.monotonic() - self._saved >= self.every

    def save(
        self,
        method: Method,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        state: TrainingState,
    ) -> None:
        """Write parameters, what else the method needs to go on, optimizer state and place."""
        tensors = {f"method.{name}": value for name, value in method.state_dict().items()}
        tensors |= {f"training.{name}": value for name, value in method.training_state().items()}
        scalars: dict[str, Any] = {}
        for index, numbers in optimizer.state_dict()["state"].items():
            for name, value in numbers.items():
                key = f"optimizer.{index}.{name}"
                if isinstance(value, Tensor):
                    tensors[key] = value
                elif value is not None:
                    scalars[key] = value
        place = {
            "format": FORMAT,
            "identity": self.identity,
            "scalars": scalars,
            "scaler": scaler.state_dict(),
            "state": asdict(state),
        }
        write_tensors(self.path, tensors, metadata={"coopt": json.dumps(place)})
        self._saved = time.monotonic()

    def load(
        self, method: Method, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
    ) -> TrainingState | None:
        """Restore a fit in place; None where there is nothing to go on from.

        Raises:
            RunError: the file is damaged, or belongs to a run with other settings.
        """
        if not self.resume or not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                if "coopt" not in metadata:
                    raise ValueError("it is no checkpoint of coopt")
                place = json.loads(metadata["coopt"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, KeyError, ValueError) as error:
            raise RunError(f"The checkpoint {self.path} cannot be read ({error}); remove it to start again.") from error
        self._check(place)
        method.load_state_dict({k[7:]: v for k, v in tensors.items() if k.startswith("method.")}, strict=True)
        method.load_training_state({k[9:]: v for k, v in tensors.items() if k.startswith("training.")})
        restored: dict[int, dict[str, Any]] = {}
        for key, value in [*tensors.items(), *place["scalars"].items()]:
            if key.startswith("optimizer."):
                _, index, name = key.split(".", 2)
                restored.setdefault(int(index), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": restored})
        if place["scaler"]:
            scaler.load_state_dict(place["scaler"])
        return TrainingState(**place["state"])

    def _check(self, place: dict[str, Any]) -> None:
        if place.get("format") != FORMAT:
            raise RunError(
                f"The checkpoint {self.path} has format {place.get('format')!r}, this version reads {FORMAT}; "
                "remove it to start again."
            )
        other, own = flatten(place["identity"]), flatten(self.identity)
        changed = [
            f"{key}: {other.get(key)!r} then, {own.get(key)!r} now"
            for key in sorted({*other, *own})
            if other.get(key) != own.get(key)
        ]
        if changed:
            raise RunError(
                f"The checkpoint {self.path} belongs to a run with other settings ({'; '.join(changed)}). "
                f"Resume with the same settings, or choose another {option('--out', 'checkpoint_path')}."
            )


def flatten(identity: dict[str, Any]) -> dict[str, Any]:
    """Nested settings by dotted keys, and long lists in short, so that a message names only what differs."""
    flat: dict[str, Any] = {}
    for key, value in identity.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": item for inner, item in value.items()}
        elif isinstance(value, list) and len(value) > 5:
            digest = hashlib.blake2b(json.dumps(value).encode(), digest_size=4).hexdigest()
            flat[key] = f"{len(value)} entries, digest {digest}"
        else:
            flat[key] = value
    return flat
