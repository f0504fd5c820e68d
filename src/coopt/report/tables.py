"""Tables as values: the content of each cell, before it becomes Markdown, CSV, LaTeX or HTML."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coopt.report.grid import Grid, H, Row
from coopt.report.statistics import Summary

MISSING = "–"
NOT_ASKED = "not in the grid"
"""Printed below a dash where the cell was never asked for, such as a classifier on classes it has not learned."""
AVERAGE = "Average"
SPREAD_NOTE = (
    "± is the sample standard deviation over seeds (divisor n − 1), n the number of seeds, and [low, high] the 95% "
    "t-interval of the mean over seeds. – is missing: a mean is never taken over fewer seeds or data sets than the "
    "grid has."
)
LIMITS_NOTE = (
    "An interval ends where no value can be beyond: at 0 and 100 percent, that of a difference at what its baseline "
    "leaves up to them. One that passes both ends would say nothing: it is left out, and only n is printed."
)
MEASURES = {"base": "Base", "new": "New", H: "H"}
"""Titles of what is measured on a part of the classes; on all of them it is the headline figure."""


@dataclass(frozen=True)
class Entry:
    """One cell of a table."""

    text: str
    detail: str = ""
    """Number of seeds and interval, in small type."""
    best: bool = False
    number: bool = True


@dataclass(frozen=True)
class Table:
    """A table with what a reader must know to read it."""

    key: str
    """What its file is named after."""
    title: str
    notes: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    breaks: tuple[int, ...] = ()
    """Rows above which a rule is drawn."""
    flat_columns: tuple[str, ...] = ()
    flat_rows: tuple[tuple[str | int | float | None, ...], ...] = ()
    """The same facts with one value per line, for the CSV; where there are none it holds the texts."""
    own_notes: tuple[str, ...] = ()
    """What is said only of this table, such as the sources that its numbers name; it is never moved away from it."""

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers, which are aligned to the right."""
        return bool(self.rows) and all(row[column].number for row in self.rows)


@dataclass(frozen=True)
class Column:
    """A column of numbers: the average over `datasets` of a measure."""

    heading: str
    datasets: tuple[str, ...]
    measure: str
    dataset: str
    """Its name in the flat table: a data set, or "average"."""


FLAT = ("protocol", "model", "source", "variant", "method", "shots", "selection", "dataset", "measure")
FLAT_NUMBERS = ("mean", "std", "n", "n_expected", "low", "high")


def show(summary: Summary, sign: bool = False) -> Entry:
    """`72.31 ± 0.42` over `n=3 [71.27, 73.35]`, or a dash with what is there."""
    if summary.mean is None:
        return Entry(MISSING, f"n={summary.n} of {summary.n_expected}" if summary.n_expected else NOT_ASKED)
    text = fixed(summary.mean, sign)
    n = f"n={summary.n}"
    if summary.std is None:
        return Entry(text, n)
    text = f"{text} ± {fixed(summary.std)}"
    if summary.low is None or summary.high is None:
        return Entry(text, n)
    interval = f"[{fixed(summary.low, sign)}, {fixed(summary.high, sign)}]"
    return Entry(text, f"{n} {interval}")


def start(text: str) -> str:
    """The text with a capital letter, for the beginning of a line."""
    return text[:1].upper() + text[1:]


def fixed(value: float, sign: bool = False) -> str:
    """Two decimals, a real minus sign, no negative zero."""
    text = f"{value:+.2f}" if sign else f"{value:.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def make_table(
    grid: Grid,
    rows: Sequence[Row],
    groups: Sequence[tuple[str | None, Sequence[Column]]],
    summarise: Callable[[Row, Sequence[str], str], Summary],
    *,
    key: str,
    title: str,
    notes: Sequence[str],
    sign: bool = False,
    mark_best: bool = False,
) -> Table:
    """A line per row of the grid, once for each group of columns; a first column names the groups that have a name."""
    lines: list[tuple[Entry, ...]] = []
    flat: list[tuple[str | int | float | None, ...]] = []
    breaks: list[int] = []
    blocks = _blocks(rows)
    for name, columns in groups:
        summaries = [[summarise(row, column.datasets, column.measure) for column in columns] for row in rows]
        best = _best(summaries, blocks, grid.headline.higher_is_better) if mark_best else set()
        breaks += blocks if name is None else [len(lines)]
        first = () if name is None else (Entry(name, number=False),)
        for i, row in enumerate(rows):
            shown = [show(summary, sign) for summary in summaries[i]]
            cells = [Entry(e.text, e.detail, (i, j) in best) for j, e in enumerate(shown)]
            lines.append((*first, *_row_entries(grid, row), *cells))
            flat += [_flat(grid, row, c, s) for c, s in zip(columns, summaries[i], strict=True)]
    named, columns = groups[0]
    headings = ("Method", "Shots", "Selection", *(column.heading for column in columns))
    headings = headings if named is None else ("Data set", *headings)
    rules = tuple(place for place in breaks if place)
    return Table(key, title, tuple(notes), headings, tuple(lines), rules, (*FLAT, *FLAT_NUMBERS), tuple(flat))


def selection_of(grid: Grid, row: Row) -> str:
    """How the runs of a row chose their hyperparameters."""
    return ", ".join(sorted(grid.selections.get(row, ()))) or MISSING


def _row_entries(grid: Grid, row: Row) -> tuple[Entry, ...]:
    return Entry(row.variant, number=False), Entry(str(row.shots or 0)), Entry(selection_of(grid, row), number=False)


def _flat(grid: Grid, row: Row, column: Column, summary: Summary) -> tuple[str | int | float | None, ...]:
    chosen = selection_of(grid, row)
    names = (grid.protocol.name, grid.model, grid.source, row.variant, row.method, row.shots or 0, chosen)
    numbers = (summary.mean, summary.std, summary.n, summary.n_expected, summary.low, summary.high)
    return (*names, column.dataset, column.measure, *numbers)


def _blocks(rows: Sequence[Row]) -> list[int]:
    """Where a block of comparable lines begins: one per number of shots, or a single one where there is one number."""
    if len({row.shots for row in rows if row.shots is not None}) < 2:
        return [0] if rows else []
    return [i for i in range(len(rows)) if i == 0 or rows[i].shots != rows[i - 1].shots]


def _best(summaries: Sequence[Sequence[Summary]], blocks: Sequence[int], highest: bool) -> set[tuple[int, int]]:
    """The place of the best mean of each column in each block; none if a mean is missing or is the only one."""
    best: set[tuple[int, int]] = set()
    for start, stop in zip(blocks, (*blocks[1:], len(summaries)), strict=True):
        for j in range(len(summaries[start])):
            asked = [i for i in range(start, stop) if summaries[i][j].n_expected]
            means = {i: mean for i in asked if (mean := summaries[i][j].mean) is not None}
            if len(asked) < 2 or len(means) < len(asked):
                continue
            rounded = {i: round(mean, 2) for i, mean in means.items()}  # equal as printed is equal
            best |= {(i, j) for i in asked if rounded[i] == (max if highest else min)(rounded.values())}
    return best
