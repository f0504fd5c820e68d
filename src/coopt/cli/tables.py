"""Tables on standard output."""

from collections.abc import Collection, Sequence

from rich.table import Table
from rich.text import Text

from coopt.cli.console import out


def print_table(
    heads: Sequence[str], rows: Sequence[Sequence[object]], right: Collection[str] = (), title: str | None = None
) -> None:
    """Print rows below their headings, numbers at the `right`; cells are printed as they are, without markup."""
    table = Table(title=title, title_justify="left", padding=(0, 0) if len(heads) > 8 else (0, 1))
    for head in heads:
        width = 36 if head == "learns" else None
        table.add_column(head, justify="right" if head in right else "left", overflow="fold", min_width=width)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    out.print(table)
