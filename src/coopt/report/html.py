"""The report as one HTML file: no script, no font and no picture from elsewhere."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coopt.report.markup import plain
from coopt.report.tables import Table


@dataclass(frozen=True)
class Picture:
    """A drawn figure with its title and caption."""

    key: str
    title: str
    caption: str
    svg: str

    @property
    def data(self) -> str:
        """The picture in base 64, for an `img`: inside one, its ids cannot meet those of another picture."""
        return base64.b64encode(self.svg.encode("utf-8")).decode("ascii")


@dataclass(frozen=True)
class Section:
    """A heading of the page, and the figures and tables under it."""

    title: str
    figures: tuple[Picture, ...]
    tables: tuple[Table, ...]


def to_html(title: str, facts: Sequence[str], sections: Sequence[Section]) -> str:
    """The page; every text is escaped."""
    from jinja2 import Environment, FileSystemLoader  # slow to import

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=lambda value: plain(value) if type(value) is str else value,  # leaves what a macro made
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.jinja").render(title=title, facts=facts, sections=sections)
