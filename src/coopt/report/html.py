"""The report as one HTML file: no script, no font and no picture from elsewhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from coopt.report.markup import plain
from coopt.report.tables import Entry, Table

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #ffffff; --line: #d0d7de; --soft: #57606a; --head: #f3f5f7;
  --best: #0b57a4; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #14171b; --line: #3a414a; --soft: #a0a9b4; --head: #1f242a; --best: #8cc2ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 80rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.3rem; margin-top: 2.5rem; }
h3 { font-size: 1.05rem; margin: 2rem 0 0.5rem; }
nav ul { padding-left: 1.2rem; } a { color: var(--best); }
.box { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; max-height: 90vh; }
.box:focus-visible { outline: 2px solid var(--best); }
table { border-collapse: collapse; font-size: 0.875rem; min-width: 100%; }
th, td { padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { position: sticky; top: 0; background: var(--head); white-space: nowrap; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.text { min-width: 5rem; max-width: 28rem; }
tr.break td { border-top: 2px solid var(--soft); }
td small { display: block; color: var(--soft); font-size: 0.75rem; }
td.best { font-weight: 700; color: var(--best); } td.best small { font-weight: 400; }
.note { color: var(--soft); font-size: 0.875rem; max-width: 60rem; margin: 0.4rem 0; }
.card { background: #ffffff; padding: 0.5rem; }
.card img { display: block; width: 100%; min-width: 40rem; height: auto; }
@media print { .box { overflow: visible; max-height: none; } body { max-width: none; } }
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Figure:
    """A picture with its words."""

    key: str
    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A heading of the page with what stands under it."""

    title: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]


def to_html(title: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """The page; every text is escaped."""
    anchors = [f"section-{number}" for number in range(1, len(sections) + 1)]
    links = [
        f'<li><a href="#{anchor}">{_text(section.title)}</a></li>'
        for anchor, section in zip(anchors, sections, strict=True)
    ]
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{_text(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{_text(title)}</h1>",
        *(f"<p>{_text(fact)}</p>" for fact in facts),
        f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>',
    ]
    for anchor, section in zip(anchors, sections, strict=True):
        parts.append(f'<section id="{anchor}">')
        parts.append(f"<h2>{_text(section.title)}</h2>")
        parts += [figure_html(figure) for figure in section.figures]
        parts += [table_html(table) for table in section.tables]
        parts.append("</section>")
    return "\n".join([*parts, "</body>", "</html>"]) + "\n"


def figure_html(figure: Figure) -> str:
    """The picture as a data address: its ids cannot meet those of another picture."""
    data = base64.b64encode(figure.svg.encode("utf-8")).decode("ascii")
    name = _text(figure.title)
    return (
        f"<h3>{name}</h3>\n"
        f'<div class="box card" tabindex="0" role="region" aria-label="{name}">'
        f'<img alt="{_text(figure.title + ". " + figure.caption)}" src="data:image/svg+xml;base64,{data}"></div>\n'
        f'<p class="note">{_text(figure.caption)}</p>'
    )


def table_html(table: Table) -> str:
    """Heading, the table in a box that scrolls by itself, notes."""
    numbers = [bool(table.rows) and all(row[j].number for row in table.rows) for j in range(len(table.columns))]
    headings = "".join(
        f'<th scope="col" class="{"number" if number else "text"}">{_text(heading)}</th>'
        for heading, number in zip(table.columns, numbers, strict=True)
    )
    lines = []
    for i, row in enumerate(table.rows):
        mark = ' class="break"' if i in table.breaks else ""
        lines.append(f"<tr{mark}>{''.join(_cell(entry) for entry in row)}</tr>")
    body = "\n".join(lines)
    name = _text(table.title)
    return (
        f"<h3>{name}</h3>\n"
        f'<div class="box" tabindex="0" role="region" aria-label="{name}">\n'
        f"<table><thead><tr>{headings}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
        + "\n".join(f'<p class="note">{_text(note)}</p>' for note in table.notes)
    )


def _cell(entry: Entry) -> str:
    kind = ("number" if entry.number else "text") + (" best" if entry.best else "")
    detail = f"<small>{_text(entry.detail)}</small>" if entry.detail else ""
    return f'<td class="{kind}">{_text(entry.text)}{detail}</td>'


def _text(text: str) -> str:
    return escape(plain(text), quote=True)
