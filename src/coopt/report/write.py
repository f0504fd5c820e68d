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
from coopt.report.markup import file_names, markdown_text, shared_notes, to_csv, to_latex, to_markdown
from coopt.report.published import published_table
from coopt.report.records import Bench
from coopt.report.results import calibration_table, difference_table, hand_written, results_table, title_of
from coopt.report.summary import facts_of, summary_table
from coopt.report.tables import MISSING, NOT_ASKED, Table, start

LIST = "files.json"
"""The list of a report's files, so that the next report into the same folder removes those it no longer writes."""
TITLE = "coopt benchmark report"
PUBLISHED = "Published numbers"


@dataclass(frozen=True)
class Report:
    """The content of a report, before it is written."""

    facts: dict[str, str]
    """What was run, when, with what: by their names, in the order in which the page says them."""
    notes: tuple[str, ...]
    """How the report is to be read, apart from the notes of its tables."""
    results: tuple[Section, ...]
    """What depends on the measured numbers only: the same for the same records. The summary comes first."""
    details: tuple[Section, ...]
    """Failures, settings, time and memory."""
    lists: tuple[Table, ...]
    """Tables for programs: every evaluation, the cost of every run."""
    n_missing: int
    """Cells of the headline figure that were asked for and have no number."""

    @property
    def unpublished(self) -> str:
        """The sentence on what is not comparable with published numbers; empty where there is none."""
        return self.facts.get(PUBLISHED, "")


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
    sections: list[Section] = []
    all_grids: list[Grid] = []
    counts: list[tuple[int, int]] = []
    nothing: dict[str, list[str]] = {}
    for name, protocol in PROTOCOLS.items():
        grids = make_grids(bench, name)
        if not grids:
            continue
        tables = [_tables(grid, baseline, nothing if against else None) for grid in grids]
        all_grids += grids
        counts += [_count_cells(of_grid[0]) for of_grid in tables]
        draws = figures and protocol.learns and protocol.single
        drawn = [figure for grid in grids for figure in _figures(grid)] if draws else []
        sections.append(Section(title_of(grids[0]), tuple(drawn), tuple(sum(tables, []))))
    n_missing, n_cells = (sum(count) for count in zip(*counts, strict=True)) if counts else (0, 0)
    facts = facts_of(bench, n_missing, n_cells)
    if nothing:
        facts[PUBLISHED] = _nothing_comparable(nothing, len(all_grids))
    summary = Section("Summary", (), (summary_table(all_grids, counts),))
    costs, costs_of_runs = costs_tables(bench)
    details = [Section("Settings", (), (settings_table(bench),)), Section("Time and memory", (), (costs,))]
    if bench.failures:
        details.insert(0, Section("Failed runs", (), (failures_table(bench),)))
    lists = (evaluations_table(bench), costs_of_runs)
    return Report(facts, (_grid_note(bench),), (summary, *sections), tuple(details), lists, n_missing)


def write_report(report: Report, out: Path | str) -> list[str]:
    """Write `report.html`, `report.md`, `tables/` and `figures/` into the folder `out`.

    Files of an earlier report in the same folder that this one does not have are removed. Returns the paths written,
    relative to `out`; the page comes first.

    Raises:
        OSError: the folder cannot be written.
    """
    out = Path(out)
    sections = (*report.results, *report.details)
    files = {"report.html": to_html(TITLE, report.facts, report.notes, sections), "report.md": result_pages(report)}
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


def result_pages(report: Report) -> str:
    """The tables of results as one Markdown page; what several of them say stands once, at its end."""
    tables = [table for section in report.results for table in section.tables]
    shared = shared_notes(tables)
    parts = [to_markdown(table, shared) for table in tables]
    if report.unpublished:
        parts.insert(1, f"{markdown_text(report.unpublished)}\n")
    if shared:
        parts.append("## How to read the tables\n\n" + "\n\n".join(markdown_text(note) for note in shared) + "\n")
    return "\n".join(parts)


def _tables(grid: Grid, baseline: str | None, nothing: dict[str, list[str]] | None) -> list[Table]:
    """The tables of a grid; that of the headline figure comes first.

    `nothing` is None where no published numbers are asked for; else it takes the grids in which none is comparable.
    """
    differences = difference_table(grid, baseline or hand_written(grid) or grid.rows[0].variant)
    published = published_table(grid) if nothing is not None else None
    if isinstance(published, str) and nothing is not None:
        nothing.setdefault(published, []).append(f"{grid.protocol.name} ({grid.title})")
        published = None
    others = (differences, published, calibration_table(grid))
    return [results_table(grid), *(table for table in others if isinstance(table, Table))]


def _nothing_comparable(nothing: dict[str, list[str]], n_grids: int) -> str:
    """One sentence: that nothing is comparable, or in which grids nothing is, and why."""
    if len(nothing) == 1 and sum(map(len, nothing.values())) == n_grids:
        return f"Nothing is comparable with published numbers: {next(iter(nothing))}."
    parts = "; nor in ".join(f"{', '.join(grids)}: {reason}" for reason, grids in nothing.items())
    return f"Nothing is comparable with published numbers in {parts}."


def _count_cells(table: Table) -> tuple[int, int]:
    """How many cells of the figure have no number, and how many were asked for."""
    first = table.columns.index("Selection") + 1
    asked = [entry for row in table.rows for entry in row[first:] if entry.detail != NOT_ASKED]
    return sum(entry.text == MISSING for entry in asked), len(asked)


def _figures(grid: Grid) -> Iterable[Picture]:
    title = start(grid.headline.title)
    (curve, curve_narrow), (gain, gain_narrow) = (
        (draw(grid), draw(grid, narrow=True)) for draw in (curve_figure, gain_figure)
    )
    if curve is not None and curve_narrow is not None:
        caption = (
            f"{title} against shots per class (logarithmic). Bars: standard deviation over seeds. "
            "Stars and level lines at 0 shots: methods that do not learn. Points with missing runs are left out."
        )
        yield Picture(f"curves {grid.model}", f"{title} against shots: {grid.model}", caption, curve, curve_narrow)
    if gain is not None and gain_narrow is not None:
        caption = (
            "Gain over hand-written prompts with the most shots, in one order: by the mean over the panels. Whiskers: "
            "95% t-interval of the paired differences, where there is one. Hatched: a loss. Lines without any gain "
            "are left out."
        )
        yield Picture(
            f"gains {grid.model}", f"Gain over hand-written prompts: {grid.model}", caption, gain, gain_narrow
        )


def _grid_note(bench: Bench) -> str:
    grid = "what the benchmark was asked for" if bench.asked else "what the records and failed runs name"
    return (
        f"The grid is {grid}; a cell of it without all its runs is missing and prints as {MISSING}. The column "
        "Selection says by what a line chose its hyperparameters."
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
