"""Classification: one of C classes, decided by the largest logit."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from sklearn.metrics import confusion_matrix, f1_score
from torch import Tensor

from coopt.data import ImageDataset
from coopt.tasks.metrics import expected_calibration_error, wilson_interval
from coopt.tasks.task import Decisions, Figure, Metrics, Table, Task, check_images

FIGURES = (
    Figure("accuracy", "accuracy", "%", True, "accuracy_low", "accuracy_high"),
    Figure("macro_f1", "macro F1", "%", True),
    Figure("calibration_error", "calibration error", "%", False),
)


@dataclass(frozen=True, repr=False)
class ClassificationMetrics(Metrics):
    """Results on one data set; percentages are of 100."""

    shown: ClassVar[tuple[Figure, ...]] = FIGURES

    n_images: int
    accuracy: float
    accuracy_low: float
    """Lower end of the 95% Wilson score interval: the sampling error of the test images, not of the shots."""
    accuracy_high: float
    macro_f1: float
    """Mean of the F1 scores of the classes that occur among the labels, as the authors' evaluator counts."""
    calibration_error: float
    """Expected calibration error with 15 bins of equal width (Guo et al., ICML 2017, equation 3), in percent."""
    per_class: dict[str, float | None]
    """Accuracy (recall) of each class; None where no image has it."""
    confusion: list[list[int]]
    """Rows: true class; columns: predicted class."""

    def tables(self) -> list[Table]:
        """Each class's accuracy and what it is most often taken for; the confusion matrix of up to 20 classes."""
        names, show = list(self.per_class), FIGURES[0].show
        rows = []
        for c, (name, row) in enumerate(zip(names, self.confusion, strict=True)):
            wrong = max(((count, other) for other, count in enumerate(row) if other != c and count), default=None)
            mistaken = f"{names[wrong[1]]} ({wrong[0]})" if wrong else ""
            rows.append((name, str(sum(row)), show(self.per_class[name]), mistaken))
        columns = ("class", "images", "accuracy", "most often taken for")
        tables = [Table("Per class", columns, rows, frozenset(("images", "accuracy")))]
        if len(names) <= 20:
            numbers = [str(c + 1) for c in range(len(names))]
            cells = [
                [f"{c + 1} {name}", *(str(n) if n else "." for n in self.confusion[c])] for c, name in enumerate(names)
            ]
            title = "Confusion (rows: true, columns: predicted)"
            tables.append(Table(title, ("class", *numbers), cells, frozenset(numbers)))
        return tables


@dataclass(frozen=True, repr=False)
class ClassDecisions(Decisions):
    """The likeliest classes of N images."""

    columns: ClassVar[Sequence[str]] = ("rank", "label", "words", "score")

    probabilities: Float[Tensor, "N C"]
    class_names: Sequence[str]
    class_labels: Sequence[str]
    top_k: int

    @property
    def title(self) -> str:  # type: ignore[override]
        """Of the decisions' column in a table for people."""
        return "class" if self.top_k == 1 else f"{self.top_k} likeliest classes"

    @property
    def answers(self) -> np.ndarray:
        """The likeliest label of each image."""
        return np.asarray(self.class_labels)[self.probabilities.argmax(-1).numpy()]

    def best(self, row: int) -> list[tuple[str, str, float]]:
        """The likeliest classes of one image: label, words and probability."""
        scores, classes = self.probabilities[row].topk(min(self.top_k, len(self.class_names)))
        return [
            (self.class_labels[int(c)], self.class_names[int(c)], float(p))
            for p, c in zip(scores, classes, strict=True)
        ]

    def as_dict(self, row: int) -> dict[str, Any]:
        """One image's classes, for JSON."""
        best = self.best(row)
        return {"predictions": [{"label": label, "words": words, "score": round(p, 6)} for label, words, p in best]}

    def lines(self, row: int) -> list[list[Any]]:
        """A line per rank."""
        best = enumerate(self.best(row), 1)
        return [[rank, label, words, f"{round(score, 6):.6f}"] for rank, (label, words, score) in best]

    def text(self, row: int) -> str:
        """Classes with percentages."""
        return ", ".join(f"{label_text(label, words)} {100 * p:.1f}%" for label, words, p in self.best(row))


def label_text(label: str, words: str) -> str:
    """A class for people: its label, and the prompt's words where they say something else: `0 (zero)`."""
    return label if clean_label(label) == clean_label(words) else f"{label} ({words})"


def clean_label(text: str) -> str:
    """A label as words have it."""
    return text.replace("_", " ").replace("-", " ").strip()


class Classification(Task):
    """One label per image out of C; targets are class numbers (N,) int64.

    Args:
        class_names: the words that prompts use.
        class_labels: the labels as the data writes them; `class_names` when None.
        grouped: labels are "data set/label" and an image competes among the classes of its own data set only, in
            losses and metrics: several data sets learned at once.
    """

    name = "classification"
    progress_name = "accuracy"
    progress_unit = "%"
    figures = FIGURES

    def __init__(
        self, class_names: Sequence[str], class_labels: Sequence[str] | None = None, *, grouped: bool = False
    ) -> None:
        super().__init__(class_names, class_labels)
        repeated = {name for name, n in Counter(self.class_names).items() if n > 1}
        pairs = zip(self.class_names, self.class_labels, strict=True)
        self.shown_names = [label if name in repeated else name for name, label in pairs]
        self.groups: Int[Tensor, " C"] | None = None
        if grouped:
            self.settings = {"grouped": True}
            parts = [label.split("/", 1)[0] for label in self.class_labels]
            self.groups = torch.tensor([sorted(set(parts)).index(part) for part in parts])

    def targets(self, dataset: ImageDataset) -> Int[Tensor, " N"]:
        """Class numbers, found by label or by words.

        Raises:
            DataError: an image's class is not among the task's.
        """
        return torch.as_tensor(dataset.align(self.class_labels, self.class_names).labels)

    def among_own(self, logits: Float[Tensor, "B C"], targets: Int[Tensor, " B"]) -> Float[Tensor, "B C"]:
        """Logits with the classes of other data sets at the lowest number, where there are groups."""
        if self.groups is None:
            return logits
        groups = self.groups.to(logits.device)
        return logits.masked_fill(groups[targets][:, None] != groups, torch.finfo(logits.dtype).min)

    def loss(
        self, logits: Float[Tensor, "B C"], targets: Int[Tensor, " B"], weight: Float[Tensor, " B"] | None = None
    ) -> Float[Tensor, ""]:
        """Cross entropy, the mean over the batch of each image's times its weight."""
        logits = self.among_own(logits, targets)
        if weight is None:
            return F.cross_entropy(logits, targets)
        return (weight * F.cross_entropy(logits, targets, reduction="none")).mean()

    def progress(self, logits: Float[Tensor, "B C"], targets: Int[Tensor, " B"]) -> Float[Tensor, " B"]:
        """100 for each image that is classified correctly, 0 for the others."""
        return 100.0 * (self.among_own(logits, targets).argmax(-1) == targets)

    def decide(self, logits: Float[Tensor, "N C"], top_k: int = 1) -> ClassDecisions:
        """The likeliest classes with their probabilities."""
        return ClassDecisions(logits.cpu().softmax(-1), self.class_names, self.class_labels, top_k)

    def for_classes(self, class_names: Sequence[str], class_labels: Sequence[str] | None = None) -> "Classification":
        """Other classes; they have no groups."""
        return Classification(class_names, class_labels)

    def metrics(self, logits: Float[Tensor, "N C"], targets: Int[Tensor, " N"]) -> ClassificationMetrics:
        """Accuracy, macro F1, calibration, per class and confusion.

        Raises:
            DataError: there is no image, or a logit is not finite.
        """
        check_images(logits, targets)
        logits = self.among_own(logits, targets)
        predicted, true = logits.argmax(-1).cpu().numpy(), targets.cpu().numpy()
        hits = int((predicted == true).sum())
        low, high = wilson_interval(hits, len(true))
        confusion = confusion_matrix(true, predicted, labels=np.arange(len(self.class_names)))
        counts = confusion.sum(1)
        return ClassificationMetrics(
            n_images=len(true),
            accuracy=100 * hits / len(true),
            accuracy_low=100 * low,
            accuracy_high=100 * high,
            macro_f1=100 * float(f1_score(true, predicted, average="macro", labels=np.unique(true))),
            calibration_error=100 * expected_calibration_error(logits, targets),
            per_class={
                name: 100 * float(confusion[c, c]) / int(counts[c]) if counts[c] else None
                for c, name in enumerate(self.shown_names)
            },
            confusion=confusion.tolist(),
        )
