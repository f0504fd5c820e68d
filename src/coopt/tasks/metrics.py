"""Measures that tasks share."""

import math

from jaxtyping import Float, Int
from torch import Tensor

Z95 = 1.959963984540054
"""The 97.5% quantile of the standard normal distribution."""


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """The 95% score interval of a share `hits / n` (Wilson, 1927)."""
    share = hits / n
    centre = share + Z95**2 / (2 * n)
    spread = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


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
