"""The report as one HTML file: no script, no font and no picture from elsewhere."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coopt.report.markup import notes_of, plain, shared_notes
from coopt.report.tables import Table

NAMES = ("Method", "Variant")
"""The columns that say which line it is."""


@dataclass(frozen=True)
class Picture:
    """A drawn figure with its title and caption."""

    key: str
    title: str
    caption: str
    svg: str
    narrow: str
    """The same for a narrow page."""


@dataclass(frozen=True)
class Section:
    """A heading of the page, and the figures and tables under it."""

    title: str
    figures: tuple[Picture, ...]
    tables: tuple[Table, ...]


def to_html(title: str, facts: Mapping[str, str], notes: Sequence[str], sections: Sequence[Section]) -> str:
    """The page, with `notes` and those that several tables have in one place; every text is escaped."""
    from jinja2 import Environment, FileSystemLoader  # slow to import

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=lambda value: plain(value) if type(value) is str else value,  # leaves what a macro made
        keep_trailing_newline=True,
    )
    shared = shared_notes(table for section in sections for table in section.tables)
    functions = {"data": data, "drop_constant": drop_constant, "notes_of": notes_of}
    page = environment.get_template("page.html.jinja")
    return page.render(title=title, facts=facts, notes=[*notes, *shared], sections=sections, shared=shared, **functions)


def data(svg: str) -> str:
    """A picture as the address of an `img`: inside one, its ids cannot meet those of another picture."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def drop_constant(table: Table) -> tuple[Table, str]:
    """The table without the columns of facts that are the same in every line, and those facts: `shots 16`.

    Measured columns stay, and one that says which line it is.
    """
    columns = range(len(table.columns))
    if len(table.rows) < 2 and not any(table.is_number(j) for j in columns):
        return table, ""  # of a single line all is the same
    facts = [j for j in columns if table.columns[j] == "Shots" or not any(row[j].number for row in table.rows)]
    same = [j for j in facts if len({row[j] for row in table.rows}) == 1]
    if same == facts:
        same.remove(next((j for j in facts if table.columns[j] in NAMES), facts[0])) if facts else None
    kept = [j for j in columns if j not in same]
    rows = tuple(tuple(row[j] for j in kept) for row in table.rows)
    said = ", ".join(f"{table.columns[j].lower()} {table.rows[0][j].text}" for j in same)
    return replace(table, columns=tuple(table.columns[j] for j in kept), rows=rows), said
