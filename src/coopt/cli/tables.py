"""Tables on standard output and in files."""

import csv
import io
from collections.abc import Collection, Iterable, Sequence

from rich.table import Table
from rich.text import Text

from coopt.cli.console import out
from coopt.messages import shown


def print_table(
    heads: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str] = (), title: str | None = None
) -> None:
    """Print rows below their headings, numbers at the `right`; a cell is one line of plain text."""
    table = Table(title=title, title_justify="left", padding=(0, 0) if len(heads) > 8 else (0, 1))
    for head in heads:
        width = 36 if head == "learns" else None
        table.add_column(head, justify="right" if head in right else "left", overflow="fold", min_width=width)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))
    out.print(table)


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows below their headings, for a file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return text.getvalue()
