"""The arithmetic of the tables, each number derived by hand."""

import math

import pytest

from coopt.report.grid import Grid, H, Row, make_grids
from coopt.report.statistics import Summary, harmonic_mean, paired_differences, summarise
from tests.report.records import bench_of, record

T2, T1, T5 = 4.302652729911275, 12.706204736432095, 2.5705818366147395
"""97.5% quantiles of Student's t with 2, 1 and 5 degrees of freedom, as printed in any table (4.303, 12.706, 2.571)."""


def only_grid(lines: list[dict], protocol: str = "fewshot", asked: tuple = ()) -> Grid:
    (grid,) = make_grids(bench_of(lines, asked=asked), protocol)
    return grid


def row(grid: Grid, variant: str, shots: int | None = 16) -> Row:
    (found,) = [r for r in grid.rows if (r.variant, r.shots) == (variant, shots)]
    return found


def test_mean_sample_deviation_and_t_interval() -> None:
    """50, 53, 53: mean 52; squares 4 + 1 + 1 = 6 over n - 1 = 2 is 3; half width t s / sqrt 3 = t."""
    found = summarise([53.0, 50.0, 53.0], 3)
    assert (found.n, found.n_expected, found.mean) == (3, 3, 52.0)
    assert found.std == pytest.approx(math.sqrt(3))
    assert (found.low, found.high) == (pytest.approx(52 - T2), pytest.approx(52 + T2))


def test_two_values() -> None:
    """78, 80: s = sqrt 2, half width t s / sqrt 2 = t."""
    found = summarise([78.0, 80.0], 2)
    assert (found.n, found.mean, found.std) == (2, 79.0, pytest.approx(math.sqrt(2)))
    assert (found.low, found.high) == (pytest.approx(79 - T1), pytest.approx(79 + T1))


def test_one_value_has_no_spread_and_fewer_than_expected_no_mean() -> None:
    assert summarise([61.0], 1) == Summary(1, 1, 61.0, None, None, None)
    assert summarise([61.0, 67.0], 3) == Summary(2, 3, None, None, None, None)
    assert summarise([], 0).mean is None


def test_harmonic_mean() -> None:
    """2 * 80 * 40 / 120."""
    assert harmonic_mean(80.0, 40.0) == pytest.approx(160 / 3)
    assert harmonic_mean(0.0, 0.0) == 0.0


def test_only_common_seeds_are_paired() -> None:
    assert paired_differences({1: 5.0, 2: 7.0, 3: 9.0}, {2: 1.0, 3: 4.0, 5: 100.0}) == [6.0, 5.0]


def test_differences_are_paired_by_seed() -> None:
    """Seeds differ by 10 points, the methods by 1, 2 and 3 in each: mean 2, s = 1, half width t / sqrt 3."""
    ours, theirs = (41.0, 52.0, 63.0), (40.0, 50.0, 60.0)
    lines = [record(a, variant="ours", seed=s) for s, a in enumerate(ours, 1)]
    lines += [record(a, variant="theirs", seed=s) for s, a in enumerate(theirs, 1)]
    grid = only_grid(lines)
    found = grid.difference(row(grid, "ours"), row(grid, "theirs"), ["icons"], "all")
    assert (found.n, found.mean, found.std) == (3, 2.0, pytest.approx(1.0))
    assert found.high == pytest.approx(2 + T2 / math.sqrt(3))


def test_differences_of_all_data_sets_are_pooled() -> None:
    """Against fixed prompts (30 and 60): 1, 2, 3 and 5, 6, 7: mean 4, squares 9+4+1+1+4+9 = 28 over 5."""
    lines = [record(31.0 + s, source="a", seed=s + 1) for s in range(3)]
    lines += [record(65.0 + s, source="b", seed=s + 1) for s in range(3)]
    lines += [record(v, method="zero-shot", source=d, shots=None) for d, v in (("a", 30.0), ("b", 60.0))]
    grid = only_grid(lines)
    fixed = grid.baseline_row("zero-shot", row(grid, "coop"))
    assert fixed == row(grid, "zero-shot", None)
    found = grid.difference(row(grid, "coop"), fixed, ["a", "b"], "all")
    assert (found.n, found.n_expected, found.mean) == (6, 6, 4.0)
    assert found.std == pytest.approx(math.sqrt(28 / 5))
    assert found.low == pytest.approx(4 - T5 * math.sqrt(28 / 5 / 6))


def base_to_new(pairs: dict[str, list[tuple[float, float]]]) -> list[dict]:
    return [
        record(accuracy, protocol="base-to-new", source=dataset, subset=subset, seed=seed)
        for dataset, seeds in pairs.items()
        for seed, pair in enumerate(seeds, 1)
        for subset, accuracy in zip(("base", "new"), pair, strict=True)
    ]


def test_the_average_h_is_that_of_the_averages() -> None:
    """Base 90 and 50, new 30 and 70: averages 70 and 50, H = 58 1/3. The average of H would be (45 + 58 1/3) / 2."""
    grid = only_grid(base_to_new({"a": [(90.0, 30.0)], "b": [(50.0, 70.0)]}), "base-to-new")
    coop = row(grid, "coop")
    assert grid.summary(coop, ["a"], H).mean == pytest.approx(45.0)
    assert grid.summary(coop, ["b"], H).mean == pytest.approx(175 / 3)
    assert grid.summary(coop, ["a", "b"], "base").mean == 70.0
    assert grid.summary(coop, ["a", "b"], H).mean == pytest.approx(175 / 3)


def test_h_over_seeds_is_of_the_means_and_spreads_as_h_per_seed() -> None:
    """Seeds (80, 40) and (60, 60): means 70 and 50 give 58 1/3; per seed 53 1/3 and 60, s = (20/3) / sqrt 2."""
    grid = only_grid(base_to_new({"a": [(80.0, 40.0), (60.0, 60.0)]}), "base-to-new")
    found = grid.summary(row(grid, "coop"), ["a"], H)
    assert found.mean == pytest.approx(175 / 3)
    assert found.std == pytest.approx(20 / 3 / math.sqrt(2))
    assert found.low == pytest.approx(175 / 3 - T1 * 10 / 3)
    assert found.high == 100.0  # 100.69 by the formula


def test_the_spread_of_an_average_is_over_the_seeds_averages() -> None:
    """a: 10, 20, 30; b: 30, 20, 10. Each seed's average is 20: no spread, though each data set has 10."""
    lines = [record(a, source="a", seed=s) for s, a in enumerate((10.0, 20.0, 30.0), 1)]
    lines += [record(a, source="b", seed=s) for s, a in enumerate((30.0, 20.0, 10.0), 1)]
    grid = only_grid(lines)
    found = grid.summary(row(grid, "coop"), ["a", "b"], "all")
    assert (found.mean, found.std) == (20.0, 0.0)
    assert grid.summary(row(grid, "coop"), ["a"], "all").std == pytest.approx(10.0)


def test_differences_are_paired_by_shots() -> None:
    """The baseline has 30 with one shot and 50 with sixteen; ours gains 1 and 2."""
    accuracies = {("ours", 1): 31.0, ("ours", 16): 52.0, ("theirs", 1): 30.0, ("theirs", 16): 50.0}
    grid = only_grid([record(a, variant=v, shots=n) for (v, n), a in accuracies.items()])
    for shots, gain in ((1, 1.0), (16, 2.0)):
        ours = row(grid, "ours", shots)
        theirs = grid.baseline_row("theirs", ours)
        assert theirs == row(grid, "theirs", shots)
        assert grid.difference(ours, theirs, ["icons"], "all").mean == gain
    assert grid.baseline_row("theirs", row(only_grid([record(variant="ours", shots=8)]), "ours", 8)) is None


@pytest.mark.parametrize(
    ("values", "interval"),
    [
        ((50.0, 52.0), (51 - T1, 51 + T1)),  # s = sqrt 2, over sqrt 2: t(1) times 1
        ((2.0, 4.0), (0.0, 3 + T1)),
        ((98.0, 96.0), (97 - T1, 100.0)),
        ((16.0, 29.0), (None, None)),  # 22.5 -+ 82.6: -60 to 105
        ((100.0, 100.0), (100.0, 100.0)),
    ],
)
def test_an_interval_ends_where_no_accuracy_can_be(values: tuple[float, float], interval: tuple) -> None:
    grid = only_grid([record(value, seed=seed) for seed, value in enumerate(values, 1)])
    found = grid.summary(row(grid, "coop"), ["icons"], "all")
    assert (found.low, found.high) == pytest.approx(interval)
    assert found.std is not None  # what the seeds do is still told


def test_a_gain_ends_where_the_baseline_leaves_no_room() -> None:
    """Hand-written prompts at 30: no gain is below -30 or above 70."""
    for values, interval in (((50.0, 60.0), (None, None)), ((38.0, 42.0), (10 - 2 * T1, 10 + 2 * T1))):
        lines = [record(30.0, method="zero-shot", shots=None)]
        lines += [record(value, seed=seed) for seed, value in enumerate(values, 1)]
        grid = only_grid(lines)
        found = grid.difference(row(grid, "coop"), row(grid, "zero-shot", None), ["icons"], "all")
        assert (found.low, found.high) == pytest.approx(interval)
    lines = [record(v, variant="y", seed=s) for s, v in enumerate((88.0, 92.0), 1)]
    grid = only_grid([*lines, *(record(v, variant="x", seed=s) for s, v in enumerate((89.0, 95.0), 1))])
    found = grid.difference(row(grid, "x"), row(grid, "y"), ["icons"], "all")
    assert (found.low, found.high) == (pytest.approx(2 - T1), 10.0)  # 90 + 10 is 100


def test_a_figure_without_percent_has_no_such_ends() -> None:
    headline = {"name": "mae", "title": "error", "unit": " years", "higher_is_better": False}
    lines = [
        record(metrics={"mae": v}, task="ages:Years", headline=headline, seed=s) for s, v in ((1, 99.0), (2, 103.0))
    ]
    grid = only_grid(lines)
    found = grid.summary(row(grid, "coop"), ["icons"], "all")
    assert (found.low, found.high) == pytest.approx((101 - 2 * T1, 101 + 2 * T1))
