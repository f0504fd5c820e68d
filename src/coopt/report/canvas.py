"""What all figures share: the style, the size, wrapped names, and SVG that follows a dark page."""

import io
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coopt.errors import require_extra

STYLE = Path(__file__).with_name("figures.mplstyle")
NARROW = 3.8
"""Inches of a narrow figure, about the width of a phone's screen."""
DARK = {
    "#ffffff": "#14171b",
    "#000000": "#e6e9ed",
    "#666666": "#a0a9b4",
    "#999999": "#717b87",
    "#dddddd": "#333a42",
    "#0072b2": "#4aa8e0",
    "#d55e00": "#f08a3c",
    "#009e73": "#2fc19a",
    "#882255": "#c8588f",
    "#332288": "#9187e6",
}
"""A colour of the figures on paper -> on a dark page; the others of the palette are bright enough for both."""


def columns_for(n: int, most: int) -> int:
    """How many panels stand side by side: at most `most`, and one fewer where that leaves fewer places empty."""
    return n if n <= most else min((most, most - 1), key=lambda columns: (-n % columns, -columns))


def short(text: str, width: int, lines: int = 2) -> str:
    """Wrapped to a few lines, cut with an ellipsis."""
    wrapped = textwrap.wrap(" ".join(text.split()), width) or [""]
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], textwrap.shorten(" ".join(wrapped[lines - 1 :]), width, placeholder="…")]
        wrapped[-1] = wrapped[-1] if len(wrapped[-1]) > 1 else text[: width - 1] + "…"
    return "\n".join(wrapped)


@contextmanager
def style() -> Iterator[None]:
    """Drawing in the style of the report; a MissingExtraError without matplotlib."""
    matplotlib = require_extra("matplotlib", "report", "Drawing the report's figures")
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Over the defaults, not over a matplotlibrc of the user: the same records give the same picture.
        matplotlib.rc_file(STYLE)
        # The browser draws the text with a font that has the glyph; matplotlib only measures it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def new_figure(width: float, height: float) -> Any:
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def to_svg(figure: Any) -> str:
    """The figure as SVG that a page can hold."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    return with_dark(text[text.index("<svg") :])  # without the prolog, which names a document type on a server


def with_dark(svg: str) -> str:
    """The picture with a style sheet for dark pages; a program that knows no such styles shows it as on paper."""
    rules = [f"text {{fill: {DARK['#000000']}}}"]  # black text names no colour
    for light, dark in DARK.items():
        rules += [f'[style*="{kind}: {light}"] {{{kind}: {dark} !important}}' for kind in ("fill", "stroke")]
    style = "<style>@media (prefers-color-scheme: dark) {" + " ".join(rules) + "}</style>"
    end = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:end]}\n {style}{svg[end:]}"
