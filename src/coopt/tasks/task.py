"""`Task`: what a label means. Everything above `methods/` asks it for targets, losses, decisions and metrics."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, Int64, Shaped
from torch import Tensor

from coopt.data import ImageDataset
from coopt.data.wording import count
from coopt.errors import ConfigError, DataError
from coopt.outside import outside_name


@dataclass(frozen=True)
class Figure:
    """One number that a result has."""

    name: str
    """Its key in records."""
    title: str
    """In words."""
    unit: str
    """What follows a number: "%", " years", or nothing."""
    higher_is_better: bool
    low: str | None = None
    high: str | None = None
    """Keys of the ends of its 95% interval, where there is one."""

    @property
    def label(self) -> str:
        """`accuracy (%)`, for an axis."""
        return f"{self.title} ({self.unit.strip()})" if self.unit else self.title

    @property
    def plural(self) -> str:
        """`accuracies`, `mean absolute errors`."""
        return f"{self.title[:-1]}ies" if self.title.endswith("y") else f"{self.title}s"

    def show(self, value: float | None) -> str:
        """`81.2%`, `0.54 years` (two digits, where a figure may be small), or a dash where there is no number."""
        return "-" if value is None else f"{value:.{1 if self.unit == '%' else 2}f}{self.unit}"

    def show_interval(self, figures: Mapping[str, Any]) -> str:
        """`81.2% (95% interval 70.1% to 89.0%)`, or only the number where it has no interval."""
        shown = self.show(figures[self.name])
        if self.low is None or self.high is None:
            return shown
        return f"{shown} (95% interval {self.show(figures[self.low])} to {self.show(figures[self.high])})"


@dataclass(frozen=True)
class Table:
    """A table for people: numbers as text, the columns in `numeric` aligned to the right."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()


class Metrics(ABC):
    """How good predictions are on one data set; the implementations are dataclasses."""

    shown: ClassVar[tuple[Figure, ...]]
    """Its single numbers; the first is the headline, by which a result is known."""
    n_images: int

    def __repr__(self) -> str:
        """The figures; classes make `repr=False` dataclasses, whose fields may be long."""
        return f"{type(self).__name__}({self.sentence().rstrip('.')})"

    @abstractmethod
    def tables(self) -> list[Table]:
        """Details for people."""

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self)  # type: ignore[call-overload]

    def figures(self) -> dict[str, float]:
        """The single numbers, by name; records keep them."""
        names = [name for f in self.shown for name in (f.name, f.low, f.high) if name]
        return {name: getattr(self, name) for name in names}

    def sentence(self) -> str:
        """All figures in one line for people."""
        first, *others = [f"{f.title} {f.show_interval(self.figures())}" for f in self.shown]
        return "; ".join([f"{first[0].upper()}{first[1:]} on {count(self.n_images, 'image', 'images')}", *others]) + "."

    def summary(self) -> str:
        """The headline: `accuracy: 81.2% (95% interval 70.1% to 89.0%, 60 images)`."""
        headline = self.shown[0]
        shown = headline.show_interval(self.figures())
        return (
            f"{headline.title}: "
            + (f"{shown[:-1]}, " if shown.endswith(")") else f"{shown} (")
            + f"{count(self.n_images, 'image', 'images')})"
        )


class Decisions(ABC):
    """What was decided for N images."""

    columns: ClassVar[Sequence[str]]
    """Of a table in a file, after the image's name."""
    title: str = "answer"
    """Of the decisions' column in a table for people."""

    def __repr__(self) -> str:
        """How many decisions, and the first of them."""
        answers = self.answers
        more = ", ..." if len(answers) > 5 else ""
        return f"{type(self).__name__}({len(answers)}: {', '.join(str(answer) for answer in answers[:5])}{more})"

    @property
    @abstractmethod
    def answers(self) -> np.ndarray:
        """The answer for each image, (N,): a label, a number, or a set of labels."""

    @abstractmethod
    def as_dict(self, row: int) -> dict[str, Any]:
        """One image's decision, for JSON."""

    @abstractmethod
    def lines(self, row: int) -> list[list[Any]]:
        """One image's lines of a table in a file, with the columns `columns`."""

    @abstractmethod
    def text(self, row: int) -> str:
        """One image's decision for people."""


class Task(ABC):
    """What a label means, for C outputs of a model.

    Args:
        class_names: the words that prompts use for each output, or for each label of the data where the task makes
            outputs of labels by itself.
        class_labels: the same as the data writes them; `class_names` when None.

    Attributes:
        class_names, class_labels: of the C outputs. A task that is made from these two again is the same task.
        settings: the keyword arguments that make it again, as JSON values.
        key: its name in `TASKS`, or `module:Class`.
    """

    name: ClassVar[str] = ""
    """Its name in `TASKS`."""
    progress_name: ClassVar[str] = ""
    """What `progress` measures: a key of the training log."""
    progress_unit: ClassVar[str] = ""
    figures: ClassVar[tuple[Figure, ...]]
    """Of its metrics; the first is the headline."""
    ordered: ClassVar[bool] = False
    """Whether its outputs are in an order: methods for ordered labels ask for that."""

    def __init__(self, class_names: Sequence[str], class_labels: Sequence[str] | None = None) -> None:
        self.class_names = list(class_names)
        self.class_labels = list(class_names if class_labels is None else class_labels)
        self.settings: dict[str, Any] = {}
        self.key = self.name or outside_name(type(self))

    @classmethod  # noqa: B027
    def check(cls, dataset: ImageDataset, settings: Mapping[str, Any]) -> None:
        """Refuse labels of the data that no task of these settings can be made of, saying where they stand.

        Raises:
            DataError: see above.
        """

    @abstractmethod
    def targets(self, dataset: ImageDataset) -> Shaped[Tensor, "N ..."]:
        """What the loss compares logits with: (N,) int64, (N,) float32, (N, C) bool, ...

        Raises:
            DataError: a label cannot be a target of this task; the message names it.
        """

    @abstractmethod
    def loss(
        self, logits: Float[Tensor, "B C"], targets: Shaped[Tensor, "B ..."], weight: Float[Tensor, " B"] | None = None
    ) -> Float[Tensor, ""]:
        """The default loss, a mean over the batch; a method's paper may add to it or replace it."""

    @abstractmethod
    def progress(self, logits: Float[Tensor, "B C"], targets: Shaped[Tensor, "B ..."]) -> Float[Tensor, " B"]:
        """Each image's share of the figure in the progress line."""

    @abstractmethod
    def decide(self, logits: Float[Tensor, "N C"], top_k: int = 1) -> Decisions:
        """Decisions; `top_k` is how many candidates are given for each image where a task has several."""

    @abstractmethod
    def metrics(self, logits: Float[Tensor, "N C"], targets: Shaped[Tensor, "N ..."]) -> Metrics:
        """Metrics of logits against targets.

        Raises:
            DataError: there is no image, or a logit is not finite.
        """

    def __repr__(self) -> str:
        """Its name and number of outputs."""
        return f"{type(self).__name__}({len(self.class_names)} outputs)"

    def classes(self, targets: Shaped[Tensor, "N ..."]) -> Int[Tensor, " N"]:
        """The output that each target stands for, for methods that need one right output per image.

        Raises:
            ConfigError: targets are no single outputs.
        """
        if targets.ndim != 1 or targets.is_floating_point():
            raise ConfigError(
                f"This method needs one class for each image, and the task {self.key!r} has no such targets. Take a "
                "method whose loss is the task's own, such as coop."
            )
        return targets

    @property
    def output_values(self) -> list[float]:
        """The number of each output, for methods that answer with a quantity; its place where it stands for none."""
        return [float(place) for place in range(len(self.class_names))]

    def strata(self, dataset: ImageDataset) -> Int64[np.ndarray, " N"] | None:
        """The groups that shots are drawn from, so many images of each; None where they are the labels."""
        return None

    def for_classes(self, class_names: Sequence[str], class_labels: Sequence[str] | None = None) -> "Task":
        """The same task with other classes."""
        return type(self)(class_names, class_labels, **self.settings)


def check_logits(logits: Float[Tensor, "N C"]) -> None:
    """Refuse logits that are not finite: they come from damaged weights, features or a prompt that diverged.

    Raises:
        DataError: with the first image that has such a logit.
    """
    if not bool(torch.isfinite(logits).all()):
        row = int((~torch.isfinite(logits)).any(-1).nonzero()[0])
        raise DataError(
            f"The logits of image number {row} are not finite: {logits[row].tolist()[:5]}... "
            "The model's weights or the learned tensors are damaged; load or train them again."
        )


def check_images(logits: Float[Tensor, "N C"], targets: Shaped[Tensor, "N ..."]) -> None:
    """Refuse to measure on nothing, or logits that are not finite.

    Raises:
        DataError: see above.
    """
    if len(targets) == 0:
        raise DataError("There is no labelled image to evaluate on.")
    check_logits(logits)
