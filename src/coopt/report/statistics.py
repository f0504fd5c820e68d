"""The arithmetic of the tables: mean, sample standard deviation, 95% t-interval, paired differences, harmonic mean."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from scipy.special import stdtrit


@dataclass(frozen=True)
class Summary:
    """What a cell of a table says about the values of its seeds (or pairs)."""

    n: int
    n_expected: int
    mean: float | None = None
    """None where a value is missing: a mean over fewer is never given in its place."""
    std: float | None = None
    """Sample standard deviation (divisor n - 1); None below two values, like the ends of the interval."""
    low: float | None = None
    high: float | None = None
    """Ends of the 95% t-interval of the mean, within what is possible; None where it would be all that is possible."""

    def negative(self) -> "Summary":
        """The summary of the same values with the other sign."""
        mean, low, high = (None if value is None else -value for value in (self.mean, self.high, self.low))
        return replace(self, mean=mean, low=low, high=high)


def summarise(
    values: Sequence[float], n_expected: int, centre: float | None = None, limits: tuple[float, float] | None = None
) -> Summary:
    r"""Mean, spread and interval of `values`, of which there should be `n_expected`.

    The interval is :math:`\bar x \pm t_{0.975, n-1} \, s / \sqrt n` (Student's t): it assumes that the values are
    independent and about normal, and says how well the mean is known, not where one more value would fall.

    Args:
        values: one per seed, or one per pair.
        n_expected: how many the grid has.
        centre: printed in place of the mean and in the middle of the interval (H of averaged accuracies).
        limits: between which the mean must be, 0 and 100 for percent. The interval is cut there. One that passes both
            would say nothing (two seeds that differ give −63 to 108): it is left out.
    """
    n = len(values)
    if n < n_expected or n == 0:
        return Summary(n, n_expected)
    # Sums in one order, so that the order of the records cannot change the last digit.
    ordered = sorted(values)
    mean = fmean(ordered) if centre is None else centre
    if n == 1:
        return Summary(n, n_expected, mean)
    std = stdev(ordered)
    half = float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n)
    low, high = mean - half, mean + half
    if limits is not None:
        if low < limits[0] and high > limits[1]:
            return Summary(n, n_expected, mean, std)
        low, high = max(low, limits[0]), min(high, limits[1])
    return Summary(n, n_expected, mean, std, low, high)


def harmonic_mean(base: float, new: float) -> float:
    """:math:`H = 2 b n / (b + n)` (Zhou et al., CoCoOp, CVPR 2022, section 4.1); 0 where both are 0."""
    return 2 * base * new / (base + new) if base + new else 0.0


def paired_differences(values: Mapping[int, float], baseline: Mapping[int, float]) -> list[float]:
    """`values - baseline`, seed by seed, where both are there."""
    return [values[seed] - baseline[seed] for seed in sorted(values.keys() & baseline.keys())]
