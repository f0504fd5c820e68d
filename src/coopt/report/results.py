"""The tables of results: the headline figure, its paired differences and calibration, for every protocol."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from coopt.bench.variants import HAND_WRITTEN
from coopt.report.grid import Grid, H, Row
from coopt.report.statistics import Summary
from coopt.report.tables import AVERAGE, LIMITS_NOTE, MEASURES, SPREAD_NOTE, Column, Table, make_table

AVERAGE_NOTE = "The average is over data sets, seed by seed; its ± and interval are over the seeds' averages."
H_NOTE = (
    "H is the harmonic mean of the mean base and the mean new {one}; the average H is that of the averaged base and "
    "new {many}, as the authors of CoCoOp print it, not an average of H over data sets. Its ± and interval come "
    "from H per seed."
)
BEST_NOTE = (
    "Bold: the {best} mean among the lines of one block; the paired differences say whether it is more than chance."
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
LOWER_NOTE = "Lower is better: a negative difference is a gain."
CALIBRATION = "calibration_error"
CALIBRATION_NOTE = (
    "Expected calibration error in percent (15 bins of equal width, Guo et al., ICML 2017): lower is better."
)


def results_table(grid: Grid) -> Table:
    """Mean, standard deviation, number of seeds and interval of the headline figure, for every cell."""
    return _table(grid, grid.rows, grid.summary, grid.headline.name, title_of(grid), [SPREAD_NOTE], mark_best=True)


def title_of(grid: Grid) -> str:
    """`Few-shot accuracy`, `Base-to-new generalisation`."""
    return grid.protocol.title.format(grid.headline.title)


def calibration_table(grid: Grid) -> Table | None:
    """`results_table` of the calibration error; None where the task has no such figure."""
    if not all(CALIBRATION in e.metrics for cell in grid.cells.values() for e in cell.values()):
        return None
    summarise = partial(grid.summary, metric=CALIBRATION)
    title = f"Calibration, {grid.protocol.name}"
    return _table(grid, grid.rows, summarise, "calibration", title, [CALIBRATION_NOTE, SPREAD_NOTE], with_h=False)


def difference_table(grid: Grid, baseline: str) -> Table | None:
    """Paired differences to the variant `baseline`; None where nothing can be paired with it."""
    rows = [row for row in grid.rows if row.variant != baseline]
    pairs = {row: other for row in rows if (other := grid.baseline_row(baseline, row)) is not None}
    if not pairs:
        return None

    def summarise(row: Row, datasets: Sequence[str], measure: str) -> Summary:
        return grid.difference(row, pairs[row], datasets, measure)

    title = f"Paired differences to {baseline}, {grid.protocol.name}"
    notes = [PAIRS_NOTE] if grid.headline.higher_is_better else [PAIRS_NOTE, LOWER_NOTE]
    return _table(grid, list(pairs), summarise, "differences", title, notes, sign=True, pooled=True)


def hand_written(grid: Grid) -> str | None:
    """The variant of hand-written prompts: the method without settings, or the first variant of it."""
    found = [row.variant for row in grid.rows if row.method == HAND_WRITTEN]
    return HAND_WRITTEN if HAND_WRITTEN in found else next(iter(found), None)


def columns_of(grid: Grid, with_h: bool = True) -> list[tuple[str | None, list[Column]]]:
    """The columns of numbers, in groups; groups that have a name are printed one below the other.

    With halves of the classes: base, new and H of the average and of every data set. Else, in one group without a name,
    a column per data set, the source first, then the average over the targets.
    """
    if grid.protocol.halves:
        measures = [m for m in MEASURES if m != H or (with_h and grid.headline.higher_is_better)]
        parts: list[tuple[str, tuple[str, ...], str]] = [(name, (name,), name) for name in grid.datasets]
        if len(grid.datasets) > 1:
            parts.insert(0, (AVERAGE, tuple(grid.datasets), "average"))
        return [(name, [Column(MEASURES[m], sets, m, flat) for m in measures]) for name, sets, flat in parts]
    columns = []
    for name in grid.datasets:
        heading = f"{name} (source)" if name == grid.source else name
        columns.append(Column(heading, (name,), "all", name))
    if len(grid.targets) > 1:
        heading = f"{AVERAGE} of targets" if grid.source else AVERAGE
        columns.append(Column(heading, tuple(grid.targets), "all", "average"))
    return [(None, columns)]


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
    groups, head = columns_of(grid, with_h), grid.headline
    percent = kind == "calibration" or head.unit == "%"
    notes = [*notes, LIMITS_NOTE] if percent else list(notes)
    if len(grid.targets) > 1:
        notes.append(POOLED_NOTE if pooled else AVERAGE_NOTE)
    if not pooled and any(column.measure == H for column in groups[0][1]):
        notes.append(H_NOTE.format(one=head.title, many=head.plural))
    if options.get("mark_best"):
        notes.append(BEST_NOTE.format(best="highest" if head.higher_is_better else "lowest"))
    return make_table(
        grid,
        rows,
        groups,
        summarise,
        key=grid.key(kind),
        title=f"{title}: {grid.title}",
        notes=notes,
        **options,
    )
