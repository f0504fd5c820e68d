"""What a reader wants first: the best line of every grid, and what was measured, when, with which versions."""

from collections.abc import Sequence

from coopt.report.grid import Grid, Row
from coopt.report.records import Bench
from coopt.report.results import columns_of, hand_written
from coopt.report.tables import AVERAGE, FLAT_NUMBERS, MEASURES, MISSING, Column, Entry, Table, show, start

SUMMARY_NOTE = (
    "The best line of every grid with the most shots, by the mean that is named; whether it is better than another by "
    "more than chance, the paired differences say. A line with a missing cell is not compared."
)
FLAT = ("protocol", "model", "source", "shots", "dataset", "measure", "variant", *FLAT_NUMBERS, "missing", "cells")


def summary_table(grids: Sequence[Grid], missing: Sequence[tuple[int, int]]) -> Table:
    """A line per grid; `missing` says of each how many cells of its table have no number, and how many it has."""
    lines, flat = [], []
    for grid, (n_missing, n_cells) in zip(grids, missing, strict=True):
        column, row = overall(grid), best_row(grid)
        shots = max((row.shots or 0 for row in grid.rows), default=0)
        what = AVERAGE if column.dataset == "average" else column.dataset
        measure = MEASURES.get(column.measure, start(grid.headline.title))
        place = (grid.protocol.name, grid.title, f"{measure}, {what}")
        names = [Entry(text, number=False) for text in place]
        shown_shots = Entry(str(shots))
        counted = Entry(f"{n_missing} of {n_cells}")
        found = (Entry(MISSING, number=False), Entry(MISSING), Entry(MISSING))
        numbers: tuple[str | float | int | None, ...] = (None, None, None, 0, 0, None, None)
        if row is not None:
            summary = grid.summary(row, column.datasets, column.measure)
            found = (Entry(row.variant, number=False), show(summary), _gain(grid, row, column))
            ends = (summary.low, summary.high)
            numbers = (row.variant, summary.mean, summary.std, summary.n, summary.n_expected, *ends)
        lines.append((names[0], *found, counted, names[2], shown_shots, names[1]))
        flat_names = (grid.protocol.name, grid.model, grid.source, shots, column.dataset, column.measure)
        flat.append((*flat_names, *numbers, n_missing, n_cells))
    figure = start(grids[0].headline.title) if grids else "Figure"
    columns = ("Protocol", "Best line", figure, "Beside hand-written", "Missing cells", "Measure", "Shots", "Model")
    return Table(
        "summary", "The best line of every grid", (SUMMARY_NOTE,), columns, tuple(lines), (), FLAT, tuple(flat)
    )


def overall(grid: Grid) -> Column:
    """The column that a grid is summed up by: the average (of H where classes are halved), or its only data set."""
    return columns_of(grid)[0][1][-1]


def best_row(grid: Grid) -> Row | None:
    """The row with the best mean, among those with the most shots and those that learn nothing; None where none is."""
    column = overall(grid)
    shots = max((row.shots for row in grid.rows if row.shots is not None), default=None)
    means = {
        row: mean
        for row in grid.rows
        if row.shots in (shots, None) and (mean := grid.summary(row, column.datasets, column.measure).mean) is not None
    }
    return (max if grid.headline.higher_is_better else min)(means, key=lambda row: round(means[row], 2), default=None)


def _gain(grid: Grid, row: Row, column: Column) -> Entry:
    """The paired difference to hand-written prompts."""
    baseline = hand_written(grid)
    other = None if baseline in (None, row.variant) else grid.baseline_row(str(baseline), row)
    if other is None:
        return Entry(MISSING)
    return show(grid.difference(row, other, column.datasets, column.measure), sign=True)


def facts_of(bench: Bench, n_missing: int, n_cells: int) -> dict[str, str]:
    """What was run, of which model, when and with which versions; what is missing."""
    runs, sets = ({getattr(e, name) for e in bench.evaluations} for name in ("run", "dataset"))
    seeds = ", ".join(map(str, sorted({e.seed for e in bench.evaluations}))) or "none"
    figure = bench.headline
    unit = "percent" if figure.unit == "%" else f"in {figure.unit.strip()}"
    days = sorted({e.date for e in bench.evaluations if e.date is not None})
    versions: dict[str, set[str]] = {}
    for e in bench.evaluations:
        for package, version in e.versions.items():
            if not package.endswith("_data"):
                versions.setdefault(package, set()).add(str(version))
    return {
        "Runs": f"{len(runs)} runs, {len(bench.evaluations)} evaluations, {len(sets)} data sets, seeds {seeds}; "
        f"{len(bench.failures)} failed runs." + (f" {start(figure.plural)} are {unit}." if figure.unit else ""),
        "Missing": f"{n_missing} of {n_cells} cells of the {figure.title} tables.",
        "Model": "; ".join(sorted({f"{e.model} (fingerprint {e.fingerprint})" for e in bench.evaluations})) or MISSING,
        "Measured": " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "the records name no day",
        "Versions": ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in versions.items()) or MISSING,
    }
