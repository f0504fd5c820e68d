"""`coopt report`: the tables and figures of a benchmark."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from coopt.cli.console import out, print_json, show_path
from coopt.cli.options import Json


class Against(str, Enum):
    """Whose numbers ours are set beside."""

    published = "published"


def report(
    folder: Annotated[Path, typer.Argument(help="The folder that `coopt bench` wrote its records into.")],
    to: Annotated[Path | None, typer.Option("--out", help="Where the report goes; by default FOLDER/report.")] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="The variant that paired differences are taken to; by default hand-written prompts."),
    ] = None,
    against: Annotated[
        Against | None, typer.Option(help="published: our numbers beside those of the papers, where comparable.")
    ] = None,
    figures: Annotated[
        bool, typer.Option("--figures/--no-figures", help="Draw the figures (needs the extra 'report').")
    ] = True,
    as_json: Json = False,
) -> None:
    """One HTML page, and the same tables as Markdown, CSV and LaTeX, from the records of a benchmark.

    Example: coopt report bench/ --against published
    """
    from coopt.report import build_report, read_bench, write_report

    bench = read_bench(folder)
    made = build_report(bench, baseline, against is not None, figures)
    target = to or folder / "report"
    files = write_report(made, target)
    if as_json:
        tables = [table for section in made.results for table in section.tables]
        print_json(
            {
                "report": str(target / files[0]),
                "files": [str(target / name) for name in files],
                "n_runs": len({e.run for e in bench.evaluations}),
                "n_evaluations": len(bench.evaluations),
                "n_failed": len(bench.failures),
                "n_missing": made.n_missing,
                "tables": [
                    {"name": t.key, "title": t.title, "columns": t.flat_columns, "rows": t.flat_rows} for t in tables
                ],
            }
        )
        return
    out.print(made.facts["Runs"])
    if made.n_missing:
        which = f"cells of the {bench.headline.title} tables"
        out.print(f"{made.n_missing} {which} are missing; `coopt bench` again completes them.")
    if made.unpublished:
        out.print(made.unpublished)
    out.print(f"The page: {show_path(target / files[0])}")
    out.print(f"Tables (Markdown, CSV, LaTeX): {show_path(target / 'tables')}")
