"""The tables of results: accuracy, paired differences and calibration of every protocol."""

from collections.abc import Callable, Sequence
from typing import Any

from coopt.report.grid import TRANSFER, Grid, H, Row
from coopt.report.statistics import Summary
from coopt.report.tables import AVERAGE, MEASURES, MISSING, SPREAD_NOTE, Column, Table, long_table, wide_table

TITLES = {
    "fewshot": "Few-shot accuracy",
    "base-to-new": "Base-to-new generalisation",
    "cross-dataset": "Cross-dataset transfer",
    "shift": "Robustness to shift",
    "zero-shot": "Zero-shot accuracy",
}
AVERAGE_NOTE = "The average is over data sets, seed by seed; its ± and interval are over the seeds' averages."
H_NOTE = (
    "H is the harmonic mean of the mean base and the mean new accuracy; the average H is that of the averaged base and "
    "new accuracies, as the authors of CoCoOp print it, not an average of H over data sets. Its ± and interval come "
    "from H per seed."
)
BEST_NOTE = (
    "Bold: the highest mean among the lines of one block; the paired differences say whether it is more than chance."
)
PAIRS_NOTE = (
    "Mean of method − baseline, paired by data set, shots and seed; n is the number of pairs, ± the sample standard "
    "deviation of the differences, [low, high] their 95% t-interval. A baseline that learns nothing has one value per "
    "data set, which is paired with every seed. – is missing: a pair is not there."
)
POOLED_NOTE = (
    "The average takes the pairs of all data sets together; its interval treats them as independent draws, so it also "
    "carries how much the data sets differ."
)
CALIBRATION_NOTE = (
    "Expected calibration error in percent (15 bins of equal width, Guo et al., ICML 2017): lower is better."
)


def accuracy_table(grid: Grid) -> Table:
    """Mean, standard deviation, number of seeds and interval of every cell."""
    return _table(grid, grid.rows, grid.summary, "accuracy", TITLES[grid.protocol], [SPREAD_NOTE], mark_best=True)


def calibration_table(grid: Grid) -> Table:
    """The same of the calibration error."""

    def summarise(row: Row, datasets: Sequence[str], measure: str) -> Summary:
        return grid.summary(row, datasets, measure, "calibration_error")

    title = f"Calibration, {grid.protocol}"
    return _table(grid, grid.rows, summarise, "calibration", title, [CALIBRATION_NOTE, SPREAD_NOTE], with_h=False)


def difference_table(grid: Grid, baseline: str) -> Table | None:
    """Paired differences to the variant `baseline`; None where nothing can be paired with it."""
    pairs = {row: grid.baseline_row(baseline, row) for row in grid.rows if row.variant != baseline}
    rows = [row for row, other in pairs.items() if other is not None]
    if not rows:
        return None

    def summarise(row: Row, datasets: Sequence[str], measure: str) -> Summary:
        other = pairs[row]
        assert other is not None  # `rows` holds no other
        return grid.difference(row, other, datasets, measure)

    title = f"Paired differences to {baseline}, {grid.protocol}"
    return _table(grid, rows, summarise, "differences", title, [PAIRS_NOTE], sign=True, pooled=True)


def default_baseline(grid: Grid) -> str:
    """Hand-written prompts where they were run, else the first variant."""
    return hand_written(grid) or grid.rows[0].variant


def hand_written(grid: Grid) -> str | None:
    """The variant of hand-written prompts: "zero-shot" itself, or the first variant of that method."""
    found = [row.variant for row in grid.rows if row.method == "zero-shot"]
    return "zero-shot" if "zero-shot" in found else next(iter(found), None)


def selection_of(grid: Grid, row: Row) -> str:
    """How a row chose its hyperparameters."""
    return ", ".join(sorted(grid.selections.get(row, ()))) or MISSING


def wide_columns(grid: Grid) -> list[Column]:
    """A column per data set, the source first, then the average over the targets."""
    columns = []
    for name in grid.datasets:
        heading = f"{name} (source)" if name == grid.source else name
        columns.append(Column(heading, (name,), "all", name))
    if len(grid.targets) > 1:
        heading = f"{AVERAGE} of targets" if grid.protocol in TRANSFER and grid.source else AVERAGE
        columns.append(Column(heading, tuple(grid.targets), "all", "average"))
    return columns


def long_groups(grid: Grid, with_h: bool = True) -> list[tuple[str, list[Column]]]:
    """Base, new and H of the average and of every data set."""
    measures = ("base", "new", H) if with_h else ("base", "new")
    groups: list[tuple[str, tuple[str, ...], str]] = [(name, (name,), name) for name in grid.datasets]
    if len(grid.datasets) > 1:
        groups.insert(0, (AVERAGE, tuple(grid.datasets), "average"))
    return [(name, [Column(MEASURES[m], sets, m, flat) for m in measures]) for name, sets, flat in groups]


def _table(
    grid: Grid,
    rows: Sequence[Row],
    summarise: Callable[[Row, Sequence[str], str], Summary],
    kind: str,
    title: str,
    notes: Sequence[str],
    *,
    with_h: bool = True,
    pooled: bool = False,
    **options: Any,
) -> Table:
    notes = [*notes, POOLED_NOTE if pooled else AVERAGE_NOTE] if len(grid.targets) > 1 else list(notes)
    long = grid.protocol == "base-to-new"
    if long and with_h and not pooled:
        notes.append(H_NOTE)
    if options.get("mark_best"):
        notes.append(BEST_NOTE)

    def of_column(row: Row, column: Column) -> Summary:
        return summarise(row, column.datasets, column.measure)

    def selection(row: Row) -> str:
        return selection_of(grid, row)

    name = " ".join(word for word in (grid.protocol, kind, grid.model, grid.source) if word)
    names: dict[str, Any] = {"key": name, "title": f"{title}: {grid.title}", "notes": notes}
    if long:
        return long_table(grid, rows, long_groups(grid, with_h), selection, of_column, **names, **options)
    return wide_table(grid, rows, wide_columns(grid), selection, of_column, **names, **options)
