"""Measures that tasks share."""

from jaxtyping import Float, Int
from torch import Tensor


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
