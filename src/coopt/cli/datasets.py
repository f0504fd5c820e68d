"""`coopt datasets`: list, info, check and fetch the benchmark data sets."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from coopt.cli.console import err, out, print_json
from coopt.cli.downloads import download_bars
from coopt.cli.options import Json
from coopt.cli.tables import print_table
from coopt.errors import DataError

datasets = typer.Typer(
    name="datasets",
    help="The benchmark data sets: list, describe, check and fetch them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)

Names = Annotated[list[str], typer.Argument(help="Data sets or suites (paper, shift, offline, offline-shift).")]
Root = Annotated[Path, typer.Option(help="The folder that holds the data sets' folders.")]
PROBLEMS = 3
"""Exit code where a check finds something wrong: that of unusable data."""


@datasets.command("list")
def list_datasets(
    root: Annotated[Path | None, typer.Option(help="Say which of them have a folder below this one.")] = None,
    data_file: Annotated[Path | None, typer.Option(help="A YAML file of your own data sets.")] = None,
    as_json: Json = False,
) -> None:
    """List the data sets, their suites, sizes and licences.

    Example: coopt datasets list
    """
    from coopt.cli.datasets_steps import facts_of
    from coopt.datasets import BENCHMARKS, CERTAINTIES, REMEMBERED, read_data_file

    rows = [facts_of(facts, root) for facts in BENCHMARKS.values()]
    own = [asdict(entry) for entry in read_data_file(data_file).values()] if data_file is not None else []
    if as_json:
        print_json(
            {
                "datasets": rows,
                "own": [{**entry, "class_names": entry["class_names"] and str(entry["class_names"])} for entry in own],
            }
        )
        return
    table: list[list[str]] = []
    for row in rows:
        mark = "?" if row["certainty"] == REMEMBERED else ""
        numbers = ["-" if row["n_classes"] is None else f"{row['n_classes']:,}"]
        numbers += [f"{n:,}{mark}" if n is not None else "-" for n in row["n_images"].values()]
        table.append([row["name"], row["suite"], *numbers, row["licence"], "yes" if row["here"] else ""])
    table += [[entry["name"], "your own", "-", "-", "-", "-", "", ""] for entry in own]
    heads = ("name", "suite", "classes", "train", "val", "test", "licence", *(["here"] if root else []))
    print_table(heads, [row[: len(heads)] for row in table], right=("classes", "train", "val", "test"))
    out.print(f"?: {CERTAINTIES[REMEMBERED]}.")


@datasets.command()
def info(name: Annotated[str, typer.Argument(help="A data set.")], as_json: Json = False) -> None:
    """All that is known about one data set: layout, prompt, sizes, licence, where it comes from.

    Example: coopt datasets info oxford-pets
    """
    from coopt.cli.datasets_steps import facts_of
    from coopt.datasets import SHIFTS, find_benchmark

    facts = find_benchmark(name)
    row = facts_of(facts, None)
    if as_json:
        print_json(row)
        return
    sizes = ", ".join(f"{n:,} {part}" for part, n in row["n_images"].items() if n is not None)
    lines = {
        "title": facts.title,
        "suite": row["suite"],
        "folder": f"{facts.folder}/ (images: {facts.images or '.'})",
        "split": facts.split_file or "its own",
        "classes": "as many as there are numbers" if facts.n_classes is None else f"{facts.n_classes:,}",
        "images": f"{sizes} ({row['certainty_words']})",
        "prompt": facts.template,
        "variant of": facts.variant_of,
        "variants": ", ".join(SHIFTS.get(facts.name, [])),
        "licence": facts.licence,
        "page": facts.homepage,
        "package": facts.package,
        "mirror": row["mirror"],
        "official": "\n".join(row["official"]),
        "by hand": facts.by_hand,
    }
    table = Table(show_header=False, box=None)
    for key, value in lines.items():
        if value:
            table.add_row(key, str(value))
    out.print(table)


@datasets.command()
def check(
    names: Names,
    root: Root,
    write_split: Annotated[
        bool, typer.Option("--write-split", help="Write the split that was made, as the field's split file.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what is missing of data sets, or does not match the expected numbers; exit code 3 if anything.

    Example: coopt datasets check oxford-pets dtd --root data
    """
    from coopt.cli.datasets_steps import show, write_split_of
    from coopt.datasets.check import check_benchmark
    from coopt.datasets.fetch import names_of

    checks = [check_benchmark(name, root) for name in names_of(names)]
    if write_split:
        for found in checks:
            write_split_of(found, root)
    if as_json:
        print_json([asdict(found) | {"ok": found.ok} for found in checks])
    else:
        for found in checks:
            show(found)
    if not all(found.ok for found in checks):
        raise typer.Exit(PROBLEMS)


@datasets.command()
def fetch(
    names: Names,
    root: Root,
    source: Annotated[
        str | None, typer.Option("--from", help="mirror (the field's, with its split files) or official.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Download, draw or unpack data sets below a folder; a broken download goes on where it stopped.

    Example: coopt datasets fetch offline offline-shift --root data
    """
    from coopt.cli.datasets_steps import show
    from coopt.datasets import find_benchmark
    from coopt.datasets.fetch import fetch_benchmark, names_of

    done: list[dict[str, Any]] = []
    for name in names_of(names):
        facts = find_benchmark(name)
        if not as_json:
            err.print(f"{facts.title}: licence {facts.licence}")
        try:
            with download_bars(quiet=as_json) as show_bytes:
                fetched = fetch_benchmark(name, root, source=source, progress=show_bytes)
        except DataError as error:  # the other sets of a suite are still fetched
            done.append({"name": name, "ok": False, "error": str(error)})
            if not as_json:
                err.print(f"{name}: {error}")
            continue
        done.append({"name": name, "source": fetched.source, **asdict(fetched.check), "ok": fetched.check.ok})
        if not as_json:
            out.print(f"{name}: {fetched.source}")
            show(fetched.check)
    if as_json:
        print_json(done)
    if not all(entry["ok"] for entry in done):
        raise typer.Exit(PROBLEMS)
