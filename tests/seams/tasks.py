"""Two small tasks that are no classification: a number per image, and several labels per image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from coopt.data import ImageDataset
from coopt.errors import DataError
from coopt.tasks import Decisions, Figure, Metrics, Table, Task

ERROR = (Figure("mae", "mean absolute error", " units", higher_is_better=False),)
HAMMING = (Figure("hamming", "right decisions", "%", higher_is_better=True),)


@dataclass(frozen=True)
class Score(Metrics):
    """One number."""

    n_images: int
    value: float
    name: str

    @property
    def shown(self) -> tuple[Figure, ...]:  # type: ignore[override]
        return ERROR if self.name == "mae" else HAMMING

    def figures(self) -> dict[str, float]:
        return {self.name: self.value}

    def as_dict(self) -> dict[str, Any]:
        return {"n_images": self.n_images, **self.figures()}

    def tables(self) -> list[Table]:
        return []


@dataclass(frozen=True)
class Numbers(Decisions):
    """A number per image."""

    columns: ClassVar[Sequence[str]] = ("value",)
    values: np.ndarray

    @property
    def answers(self) -> np.ndarray:
        return self.values

    def as_dict(self, row: int) -> dict[str, Any]:
        return {"value": round(float(self.values[row]), 6)}

    def lines(self, row: int) -> list[list[Any]]:
        return [[f"{self.values[row]:.6f}"]]

    def text(self, row: int) -> str:
        return f"{self.values[row]:.2f}"


class RealValued(Task):
    """Labels are numbers; an answer is the expectation over those seen in training."""

    name = ""
    progress_name = "error"
    figures = ERROR
    ordered = True

    def __init__(self, class_names: Sequence[str], class_labels: Sequence[str] | None = None) -> None:
        super().__init__(class_names, class_labels)
        self.values = torch.tensor([number(label) for label in self.class_labels])  # (C,)

    def targets(self, dataset: ImageDataset) -> Tensor:
        values = torch.tensor([number(label) for label in dataset.class_labels or []])
        return values[torch.as_tensor(dataset.labels)]

    def expectation(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1) @ self.values.to(logits)

    def loss(self, logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        return F.mse_loss(self.expectation(logits), targets)

    def progress(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (self.expectation(logits) - targets).abs()

    def decide(self, logits: Tensor, top_k: int = 1) -> Numbers:
        return Numbers(self.expectation(logits).cpu().numpy())

    def metrics(self, logits: Tensor, targets: Tensor) -> Score:
        return Score(len(targets), float(self.progress(logits, targets).mean()), "mae")


def number(label: str) -> float:
    """A label as a number."""
    try:
        return float(label)
    except ValueError:
        raise DataError(f"The label {label!r} is no number.") from None


@dataclass(frozen=True)
class Sets(Decisions):
    """A set of labels per image."""

    columns: ClassVar[Sequence[str]] = ("labels",)
    rows: list[list[str]]

    @property
    def answers(self) -> np.ndarray:
        return np.array(["+".join(row) for row in self.rows], dtype=object)

    def as_dict(self, row: int) -> dict[str, Any]:
        return {"labels": self.rows[row]}

    def lines(self, row: int) -> list[list[Any]]:
        return [["+".join(self.rows[row])]]

    def text(self, row: int) -> str:
        return ", ".join(self.rows[row])


class SeveralLabels(Task):
    """A label of the data is several joined by "+"; the outputs are the single ones."""

    name = ""
    progress_name = "right"
    figures = HAMMING

    def __init__(self, class_names: Sequence[str], class_labels: Sequence[str] | None = None) -> None:
        singles = sorted({part for label in class_labels or class_names for part in label.split("+")})
        super().__init__(singles)

    def targets(self, dataset: ImageDataset) -> Tensor:
        rows = [[name in label.split("+") for name in self.class_names] for label in dataset.class_labels or []]
        return torch.tensor(rows)[torch.as_tensor(dataset.labels)]

    def loss(self, logits: Tensor, targets: Tensor, weight: Tensor | None = None) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, targets.float())

    def progress(self, logits: Tensor, targets: Tensor) -> Tensor:
        return 100.0 * ((logits > 0) == targets).float().mean(-1)

    def decide(self, logits: Tensor, top_k: int = 1) -> Sets:
        kept = (logits > 0).tolist()
        return Sets([[n for n, k in zip(self.class_names, row, strict=True) if k] for row in kept])

    def metrics(self, logits: Tensor, targets: Tensor) -> Score:
        return Score(len(targets), float(self.progress(logits, targets).mean()), "hamming")
