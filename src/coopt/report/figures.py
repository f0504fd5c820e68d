"""The paper's two figures as SVG: the headline figure against shots, and the gain over hand-written prompts.

Legible in black and white: every method has a marker and a line style of its own, losses are hatched. The same records
give the same bytes.
"""

import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coopt.errors import require_extra
from coopt.report.grid import Grid, Row
from coopt.report.results import hand_written
from coopt.report.tables import AVERAGE, fixed

# Okabe and Ito's palette without its yellow (too pale on white), and three of Paul Tol's muted one: told apart with any
# of the common colour-vision deficiencies.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#882255", "#999933", "#332288")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))
FIXED_MARKERS = ("*", "X", "P", "d")
GAIN, LOSS = "#0072B2", "#D55E00"
STYLE = Path(__file__).with_name("figures.mplstyle")


def curve_figure(grid: Grid) -> str | None:
    """The headline figure against shots, a panel for the average and for every data set (the CoOp paper's figure 3).

    Methods that do not learn are stars and level lines at 0 shots. Bars at the points are the standard deviation over
    seeds. None where no method learns; without matplotlib a MissingExtraError.
    """
    if all(row.shots is None for row in grid.rows):
        return None
    with _style():
        return _svg(_draw_curves(grid))


def gain_figure(grid: Grid) -> str | None:
    """Gain over hand-written prompts with the most shots, sorted, a panel per variant (the CoOp paper's figure 4).

    Whiskers are the 95% interval of the paired differences. None where there are no hand-written prompts, or nothing
    that learns; without matplotlib a MissingExtraError.
    """
    baseline = hand_written(grid)
    shots = max((row.shots for row in grid.rows if row.shots is not None), default=None)
    if baseline is None or shots is None:
        return None
    with _style():
        return _svg(_draw_gains(grid, [row for row in grid.rows if row.shots == shots], baseline))


def _draw_curves(grid: Grid) -> Any:
    learned = list(dict.fromkeys(row.variant for row in grid.rows if row.shots is not None))
    fixed_rows = [row for row in grid.rows if row.shots is None]
    panels: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in grid.datasets]
    if len(grid.datasets) > 1:
        panels.insert(0, (f"{AVERAGE} over {len(grid.datasets)} data sets", tuple(grid.datasets)))
    n_columns = _columns(len(panels), 4)
    n_rows = math.ceil(len(panels) / n_columns)
    width = max(5.6, 3.1 * n_columns)
    variants = [*learned, *(row.variant for row in fixed_rows)]
    longest = max(min(60, len(name)) for name in variants)
    legend = max(1, min(len(variants), int(width / (0.085 * longest + 0.55))))
    n_lines = math.ceil(len(variants) / legend)
    figure = _figure(width, 2.6 * n_rows + 0.22 * n_lines + 0.3)
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    shots = sorted({row.shots for row in grid.rows if row.shots is not None})
    handles: dict[str, Any] = {}
    for panel, (ax, (title, datasets)) in enumerate(zip(axes, panels, strict=False)):
        for i, variant in enumerate(learned):
            handles[variant] = _curve(ax, grid, variant, datasets, i)
        for i, row in enumerate(fixed_rows):
            handles[row.variant] = _level(ax, grid, row, datasets, i)
        ax.set_title(_short(title, 30), fontweight="bold" if len(datasets) > 1 else "normal")
        ax.set_xticks([0, *(_place(n) for n in shots)], ["0", *map(str, shots)])
        ax.set_xlim(-0.4, _place(shots[-1]) + 0.3)
        if panel % n_columns == 0:
            ax.set_ylabel(grid.headline.label)
        if panel + n_columns >= len(panels):
            ax.set_xlabel("shots per class")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    names = [_short(name, 60, lines=1) for name in handles]
    names = [f" {name}" if name.startswith("_") else name for name in names]  # a legend leaves out "_..."
    figure.legend(list(handles.values()), names, loc="outside lower center", ncols=legend, frameon=False)
    return figure


def _draw_gains(grid: Grid, rows: Sequence[Row], baseline: str) -> Any:
    n_columns = _columns(len(rows), 3)
    n_rows = math.ceil(len(rows) / n_columns)
    height = 0.27 * (len(grid.datasets) + (len(grid.datasets) > 1)) + 0.95
    figure = _figure(max(5.6, 4.2 * n_columns), height * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    unit = "points" if grid.headline.unit == "%" else grid.headline.unit.strip()
    unit = f" ({unit})" if unit else ""
    for ax, row in zip(axes, rows, strict=False):
        _gains(ax, grid, row, baseline)
        ax.set_title(_short(f"{row.variant}, {row.shots} {'shot' if row.shots == 1 else 'shots'}", 44))
        ax.set_xlabel(_short(f"gain over {baseline}{unit}", 44, lines=1))
    for ax in axes[len(rows) :]:
        ax.set_axis_off()
    return figure


def _curve(ax: Any, grid: Grid, variant: str, datasets: Sequence[str], i: int) -> Any:
    points = []
    for row in grid.rows:
        if row.variant == variant and row.shots is not None:
            summary = grid.summary(row, datasets, "all")
            if summary.mean is not None:
                points.append((_place(row.shots), summary.mean, summary.std or 0.0))
    colour = COLOURS[i % len(COLOURS)]
    style: dict[str, Any] = {"color": colour, "marker": MARKERS[i % len(MARKERS)], "linestyle": LINES[i % len(LINES)]}
    # Every second marker is hollow, which tells neighbours apart without colour.
    style |= {"markerfacecolor": "white" if i % 2 else colour, "markersize": 5, "linewidth": 1.4}
    x, y, spread = zip(*points, strict=True) if points else ((), (), ())
    ax.errorbar(x, y, yerr=spread, fmt="none", ecolor=colour, elinewidth=0.8, capsize=2, alpha=0.6)
    return ax.plot(x, y, **style)[0]


def _level(ax: Any, grid: Grid, row: Row, datasets: Sequence[str], i: int) -> Any:
    mean = grid.summary(row, datasets, "all").mean
    marker = FIXED_MARKERS[i % len(FIXED_MARKERS)]
    grey = ("#000000", "#666666")[i % 2]
    if mean is not None:
        ax.axhline(mean, color=grey, linewidth=0.8, linestyle=(0, (1, 2 + i)))
    x, y = ([0], [mean]) if mean is not None else ([], [])
    style: dict[str, Any] = {"color": grey, "linestyle": "none", "clip_on": False}
    return ax.plot(x, y, marker=marker, markersize=9 if marker == "*" else 6, **style)[0]


def _gains(ax: Any, grid: Grid, row: Row, baseline: str) -> None:
    other = grid.baseline_row(baseline, row)
    assert other is not None  # a method that does not learn is paired with every row
    bars = [(name, grid.gain(row, other, [name])) for name in grid.datasets]
    bars.sort(key=lambda bar: (bar[1].mean is None, -(bar[1].mean or 0.0)))
    if len(bars) > 1:
        bars.append((AVERAGE, grid.gain(row, other, grid.datasets)))
    ends = [0.0]
    for y, (_, summary) in enumerate(bars):
        mean = summary.mean
        if mean is None:
            ax.annotate("missing", (0, y), xytext=(4, 0), textcoords="offset points", va="center", color="#666666")
            continue
        look = {"color": GAIN} if mean >= 0 else {"color": "white", "edgecolor": LOSS, "hatch": "//////"}
        ax.barh(y, mean, 0.72, **look)
        low, high = (mean, mean) if summary.low is None or summary.high is None else (summary.low, summary.high)
        if high > low:
            ax.errorbar(mean, y, xerr=high - mean, fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
        end = min(low, 0.0) if mean < 0 else max(high, 0.0)
        aside: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
        aside |= {"xytext": (-4, 0), "ha": "right"} if mean < 0 else {"xytext": (4, 0), "ha": "left"}
        ax.annotate(fixed(mean, sign=True), (end, y), **aside)
        ends += [low, high]
    span = max(ends) - min(ends) or 1.0
    ax.set_xlim(min(ends) - (0.24 * span if min(ends) < 0 else 0.0), max(ends) + 0.24 * span)
    ax.set_yticks(range(len(bars)), [_short(name, 26, lines=1) for name, _ in bars])
    ax.set_ylim(len(bars) - 0.45, -0.55)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.grid(False, axis="y")
    if len(bars) > 1:
        ax.axhline(len(bars) - 1.5, color="#999999", linewidth=0.6)


def _columns(n: int, most: int) -> int:
    """How many panels stand side by side: at most `most`, and one fewer where that leaves fewer places empty."""
    return n if n <= most else min((most, most - 1), key=lambda columns: (-n % columns, -columns))


def _place(shots: int) -> float:
    """Shots on a logarithmic axis that also has a 0."""
    return 1 + math.log2(shots)


def _short(text: str, width: int, lines: int = 2) -> str:
    """Wrapped to a few lines, cut with an ellipsis."""
    wrapped = textwrap.wrap(" ".join(text.split()), width) or [""]
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], textwrap.shorten(" ".join(wrapped[lines - 1 :]), width, placeholder="…")]
        wrapped[-1] = wrapped[-1] if len(wrapped[-1]) > 1 else text[: width - 1] + "…"
    return "\n".join(wrapped)


@contextmanager
def _style() -> Iterator[None]:
    matplotlib = require_extra("matplotlib", "report", "Drawing the report's figures")
    with matplotlib.rc_context(), warnings.catch_warnings():
        # Over the defaults, not over a matplotlibrc of the user: the same records give the same picture.
        matplotlib.rc_file(STYLE)
        # The browser draws the text with a font that has the glyph; matplotlib only measures it.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _svg(figure: Any) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = out.getvalue()
    return text[text.index("<svg") :]  # without the prolog, which names a document type on a server
