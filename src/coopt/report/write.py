"""From a bench folder to the report's files."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coopt.bench.protocols import PROTOCOLS
from coopt.errors import ConfigError, RunError, did_you_mean
from coopt.files import write_texts
from coopt.report.details import costs_tables, evaluations_table, failures_table, settings_table
from coopt.report.figures import curve_figure, gain_figure
from coopt.report.grid import Grid, make_grids
from coopt.report.html import Picture, Section, to_html
from coopt.report.markup import file_names, to_csv, to_latex, to_markdown
from coopt.report.published import published_table
from coopt.report.records import Bench
from coopt.report.results import calibration_table, difference_table, hand_written, results_table, title_of
from coopt.report.tables import MISSING, NOT_ASKED, Table, start

LIST = "files.json"
"""The list of a report's files, so that the next report into the same folder removes those it no longer writes."""
TITLE = "coopt benchmark report"


@dataclass(frozen=True)
class Report:
    """The content of a report, before it is written."""

    facts: tuple[str, ...]
    results: tuple[Section, ...]
    """What depends on the measured numbers only: the same for the same records."""
    details: tuple[Section, ...]
    """Failures, settings, time and memory."""
    lists: tuple[Table, ...]
    """Tables for programs: every evaluation, the cost of every run."""
    n_missing: int
    """Cells of the headline figure that were asked for and have no number."""


def build_report(bench: Bench, baseline: str | None = None, against: bool = False, figures: bool = True) -> Report:
    """The sections of the report.

    Args:
        bench: the records.
        baseline: variant that paired differences are taken to; None takes hand-written prompts, else the first.
        against: whether published numbers are printed beside ours.
        figures: whether pictures are drawn (needs the extra `report`).

    Raises:
        ConfigError: no record has the variant `baseline`.
        MissingExtraError: pictures are asked for without matplotlib.
    """
    variants = sorted({e.variant for e in bench.evaluations})
    if baseline is not None and baseline not in variants:
        raise ConfigError(
            f"--baseline is {baseline!r}; the records have the variants {', '.join(map(repr, variants))}."
            f"{did_you_mean(baseline, variants)}"
        )
    results, n_missing = [], 0
    for name, protocol in PROTOCOLS.items():
        grids = make_grids(bench, name)
        if not grids:
            continue
        tables = [_tables(grid, baseline, against) for grid in grids]
        n_missing += sum(_count_missing(of_grid[0]) for of_grid in tables)
        draws = figures and protocol.learns and protocol.single
        drawn = [figure for grid in grids for figure in _figures(grid)] if draws else []
        results.append(Section(title_of(grids[0]), tuple(drawn), tuple(sum(tables, []))))
    costs, costs_of_runs = costs_tables(bench)
    details = [Section("Settings", (), (settings_table(bench),)), Section("Time and memory", (), (costs,))]
    if bench.failures:
        details.insert(0, Section("Failed runs", (), (failures_table(bench),)))
    lists = (evaluations_table(bench), costs_of_runs)
    return Report(_facts(bench), tuple(results), tuple(details), lists, n_missing)


def write_report(report: Report, out: Path | str) -> list[str]:
    """Write `report.html`, `report.md`, `tables/` and `figures/` into the folder `out`.

    Files of an earlier report in the same folder that this one does not have are removed. Returns the paths written,
    relative to `out`; the page comes first.

    Raises:
        OSError: the folder cannot be written.
    """
    out = Path(out)
    sections = (*report.results, *report.details)
    files = {"report.html": to_html(TITLE, report.facts, sections)}
    files["report.md"] = "\n".join(to_markdown(table) for section in report.results for table in section.tables)
    tables = {table.key: table for section in sections for table in section.tables}
    figures = {figure.key: figure for section in sections for figure in section.figures}
    for key, name in file_names(tables).items():
        table, path = tables[key], f"tables/{name}"
        files |= {f"{path}.md": to_markdown(table), f"{path}.tex": to_latex(table), f"{path}.csv": to_csv(table)}
    for key, name in file_names(figures).items():
        files[f"figures/{name}.svg"] = figures[key].svg
    for table in report.lists:
        files[f"tables/{table.key}.csv"] = to_csv(table)
    before = _written_before(out)
    write_texts(out, {**files, LIST: json.dumps(sorted(files), indent=2, ensure_ascii=False) + "\n"})
    for name in before - files.keys():
        (out / name).unlink(missing_ok=True)
    return list(files)


def _tables(grid: Grid, baseline: str | None, against: bool) -> list[Table]:
    """The tables of a grid; that of the headline figure comes first."""
    differences = difference_table(grid, baseline or hand_written(grid) or grid.rows[0].variant)
    published = published_table(grid) if against else None
    others = (differences, published, calibration_table(grid))
    return [results_table(grid), *(table for table in others if table is not None)]


def _count_missing(table: Table) -> int:
    entries = (entry for row in table.rows for entry in row)
    return sum(entry.text == MISSING and entry.number and entry.detail != NOT_ASKED for entry in entries)


def _figures(grid: Grid) -> Iterable[Picture]:
    curve, gain, title = curve_figure(grid), gain_figure(grid), start(grid.headline.title)
    if curve is not None:
        caption = (
            f"{title} against shots per class (logarithmic). Bars: standard deviation over seeds. "
            "Stars and level lines at 0 shots: methods that do not learn. Points with missing runs are left out."
        )
        yield Picture(f"curves {grid.model}", f"{title} against shots: {grid.model}", caption, curve)
    if gain is not None:
        caption = (
            "Gain over hand-written prompts with the most shots, sorted. Whiskers: 95% t-interval of the paired "
            "differences. Hatched: a loss."
        )
        yield Picture(f"gains {grid.model}", f"Gain over hand-written prompts: {grid.model}", caption, gain)


def _facts(bench: Bench) -> tuple[str, ...]:
    """The lines above the tables: how much was run, and what the grid is."""
    runs, sets = ({getattr(e, name) for e in bench.evaluations} for name in ("run", "dataset"))
    seeds = ", ".join(map(str, sorted({e.seed for e in bench.evaluations}))) or "none"
    figure = bench.headline
    unit = "percent" if figure.unit == "%" else f"in {figure.unit.strip()}"
    grid = "what the benchmark was asked for" if bench.asked else "what the records and failed runs name"
    return (
        f"{len(runs)} runs, {len(bench.evaluations)} evaluations, {len(sets)} data sets, seeds {seeds}; "
        f"{len(bench.failures)} failed runs." + (f" {start(figure.plural)} are {unit}." if figure.unit else ""),
        f"The grid is {grid}; a cell of it without all its runs is missing and prints as {MISSING}. The column "
        "Selection says by what a line chose its hyperparameters.",
    )


def _written_before(out: Path) -> set[str]:
    """The files of the report that is in the folder now."""
    try:
        names: Any = json.loads((out / LIST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    except ValueError as error:
        raise RunError(f"{out / LIST} is no list of a report's files ({error}); choose another --out.") from error
    # Only what a report writes, whatever the list says: nothing above the folder, no other kind of file.
    ours = re.compile(r"tables/[^/\\]*\.(md|tex|csv)|figures/[^/\\]*\.svg")
    return (
        {name for name in names if isinstance(name, str) and ours.fullmatch(name)} if isinstance(names, list) else set()
    )
