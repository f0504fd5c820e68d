"""How good predictions are: accuracy with its interval, per class, macro F1, confusion, calibration."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.metrics import confusion_matrix, f1_score
from torch import Tensor

from coopt.errors import DataError


@dataclass(frozen=True)
class Metrics:
    """Results on one data set; percentages are of 100."""

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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def evaluate_logits(logits: Float[Tensor, "N C"], labels: Int[Tensor, " N"], class_names: list[str]) -> Metrics:
    """All metrics of logits against labels.

    Raises:
        DataError: there is no image, or a logit is not a finite number.
    """
    if len(labels) == 0:
        raise DataError("There is no labelled image to evaluate on.")
    check_logits(logits)
    predicted, true = logits.argmax(-1).cpu().numpy(), labels.cpu().numpy()
    hits = int((predicted == true).sum())
    low, high = wilson_interval(hits, len(true))
    confusion = confusion_matrix(true, predicted, labels=np.arange(len(class_names)))
    counts = confusion.sum(1)
    return Metrics(
        n_images=len(true),
        accuracy=100 * hits / len(true),
        accuracy_low=100 * low,
        accuracy_high=100 * high,
        macro_f1=100 * float(f1_score(true, predicted, average="macro", labels=np.unique(true))),
        calibration_error=100 * expected_calibration_error(logits, labels),
        per_class={
            name: 100 * float(confusion[c, c]) / int(counts[c]) if counts[c] else None
            for c, name in enumerate(class_names)
        },
        confusion=confusion.tolist(),
    )


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


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """The 95% score interval of a share `hits / n` (Wilson, 1927)."""
    from scipy.stats import binomtest  # slow to import

    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def expected_calibration_error(logits: Float[Tensor, "N C"], labels: Int[Tensor, " N"], n_bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over bins of confidence, weighted by how many images fall in them."""
    confidence, predicted = logits.double().softmax(-1).max(-1)
    hit = (predicted == labels).double()
    # A confidence on an edge belongs to the bin below it: bins are (low, high].
    bins = (confidence * n_bins).ceil().long().clamp(1, n_bins) - 1  # (N,)
    error = 0.0
    for b in range(n_bins):
        inside = bins == b
        if inside.any():
            gap = (confidence[inside].mean() - hit[inside].mean()).abs()
            error += float(gap * inside.double().mean())
    return error
