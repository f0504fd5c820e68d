"""How good answers over ranks are: errors, order, agreement and coverage."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from coopt.tasks.ranks import Ranks
from coopt.tasks.task import Figure, Metrics, Table

N_RESAMPLES, RESAMPLING_SEED = 1000, 1
WITHIN = (0, 1, 2, 3, 5, 10)
MOST_THRESHOLDS = 10

FIGURES = (
    Figure("mae", "mean absolute error", "", False, "mae_low", "mae_high"),
    Figure("mae_rank", "mean absolute error of the most likely rank", "", False),
    Figure("rmse", "root mean square error", "", False),
    Figure("accuracy", "exact accuracy", "%", True),
    Figure("within_1", "accuracy within 1 rank", "%", True),
    Figure("spearman", "Spearman correlation", "", True),
    Figure("kappa", "quadratic weighted kappa", "", True),
    Figure("coverage", "coverage of the interval", "%", True),
)


@dataclass(frozen=True)
class OrdinalMetrics(Metrics):
    """Results on one data set; percentages are of 100, errors in the unit of the labels, of categories in places."""

    shown: ClassVar[tuple[Figure, ...]] = FIGURES

    n_images: int
    mae: float
    """Of the expectation of the distribution."""
    mae_low: float
    """Lower end of the 95% percentile bootstrap interval over the test images, 1,000 resamples of seed 1."""
    mae_high: float
    mae_rank: float
    """Of the most likely rank."""
    rmse: float
    """Of the expectation."""
    accuracy: float
    """Share of images whose most likely rank is the one nearest to the truth."""
    within_1: float
    within: dict[str, float]
    """By k: share of images whose most likely rank is at most k ranks away from the one nearest to the truth."""
    cumulative_score: dict[str, float]
    """By threshold, in the labels' unit: share of images whose expectation is off by at most so much."""
    spearman: float
    """Rank correlation of expectations and truths; 0 where all of one are the same."""
    kappa: float
    """Cohen's, with quadratic weights, of the most likely ranks; where all truths and answers are one rank, 1."""
    coverage: float
    """Share of images whose truth lies in the interval; it should be near `interval`."""
    interval: float
    """Percentage of the distribution between the ends of the interval."""
    per_rank: dict[str, dict[str, float]]
    """By rank that occurs: its images, their mean absolute error and the mean of answer minus truth."""

    def tables(self) -> list[Table]:
        """Error by rank, and the cumulative score."""
        rows = [
            (rank, f"{found['images']:.0f}", f"{found['mae']:.2f}", f"{found['bias']:+.2f}")
            for rank, found in self.per_rank.items()
        ]
        columns = ("rank", "images", "mean absolute error", "mean of answer - truth")
        scores = [(f"<= {threshold}", f"{share:.1f}%") for threshold, share in self.cumulative_score.items()]
        return [
            Table("Error by rank", columns, rows, frozenset(columns[1:])),
            Table("Cumulative score", ("error", "images"), scores, frozenset(("images",))),
        ]


def measure_ranks(
    ranks: Ranks,
    true: Float64[np.ndarray, " N"],
    places: Int64[np.ndarray, " N"],
    expected: Float64[np.ndarray, " N"],
    likely: Int64[np.ndarray, " N"],
    ends: tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]],
    interval: float,
) -> OrdinalMetrics:
    """Metrics of N answers.

    Args:
        ranks: the C ranks.
        true: the numbers of the labels.
        places: of the ranks nearest to them.
        expected: expectations of the distributions.
        likely: places of the most likely ranks.
        ends: places of the ends of the intervals.
        interval: what share of the distributions they hold.
    """
    values = np.array(ranks.values)
    errors, away = np.abs(expected - true), np.abs(likely - places)
    low, high = bootstrap_interval(errors)
    within = {str(k): percent(away <= k) for k in WITHIN if k < len(values)}
    # A truth between two ranks counts as covered where its nearest rank is.
    covered = (ends[0] <= places) & (places <= ends[1])
    return OrdinalMetrics(
        n_images=len(true),
        mae=float(errors.mean()),
        mae_low=low,
        mae_high=high,
        mae_rank=float(np.abs(values[likely] - true).mean()),
        rmse=float(np.sqrt((errors**2).mean())),
        accuracy=within["0"],
        within_1=within["1"],
        within=within,
        cumulative_score={f"{t:g}": percent(errors <= t + 1e-9) for t in thresholds(values)},
        spearman=spearman(expected, true),
        kappa=weighted_kappa(places, likely),
        coverage=percent(covered),
        interval=100 * interval,
        per_rank={
            ranks.labels[place]: {
                "images": float((places == place).sum()),
                "mae": float(errors[places == place].mean()),
                "bias": float((expected - true)[places == place].mean()),
            }
            for place in np.unique(places)
        },
    )


def percent(hits: Bool[np.ndarray, " N"]) -> float:
    """The share of what is true, of 100."""
    return 100 * float(hits.mean())


def thresholds(values: Float64[np.ndarray, " C"]) -> Sequence[float]:
    """Of the cumulative score: 0, 1, 2, ... times the smallest distance of two ranks, up to 10 and to all of them."""
    step = float(np.diff(values).min())
    n = min(MOST_THRESHOLDS, round((values[-1] - values[0]) / step))
    return [step * k for k in range(n + 1)]


def bootstrap_interval(errors: Float64[np.ndarray, " N"]) -> tuple[float, float]:
    """The 95% percentile interval of the mean over resamples of the images."""
    chance = np.random.default_rng(RESAMPLING_SEED)
    n = len(errors)
    means = [errors[chance.integers(0, n, n)].mean() for _ in range(N_RESAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def spearman(answers: Float64[np.ndarray, " N"], truths: Float64[np.ndarray, " N"]) -> float:
    """Spearman's rank correlation; 0 where all answers or all truths are the same."""
    from scipy.stats import spearmanr  # slow to import

    if np.ptp(answers) == 0 or np.ptp(truths) == 0:
        return 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nearly constant answers: the correlation of their rounding is what it is
        found = float(spearmanr(answers, truths).statistic)
    return found if np.isfinite(found) else 0.0


def weighted_kappa(truths: Int64[np.ndarray, " N"], answers: Int64[np.ndarray, " N"]) -> float:
    r"""Cohen's kappa with weights that grow with the square of the distance in ranks.

    .. math::
        \kappa = 1 - \frac{\sum (i - j)^2 O_{ij}}{\sum (i - j)^2 E_{ij}}
    """
    observed = float(((truths - answers) ** 2).mean())
    # The mean square distance of two independent draws, one of the truths and one of the answers.
    t, a = truths.astype(float), answers.astype(float)
    expected = float((t**2).mean() + (a**2).mean() - 2 * t.mean() * a.mean())
    return 1.0 - observed / expected if expected > 0 else 1.0
