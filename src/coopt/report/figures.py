"""The paper's two figures as SVG: the headline figure against shots, and the gain over hand-written prompts.

Legible in black and white: every method has a marker and a line style of its own, losses are hatched. A narrow figure
has its panels below each other, for a phone. The same records give the same bytes.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from coopt.report.canvas import NARROW, columns_for, new_figure, short, style, to_svg
from coopt.report.grid import Grid, Row
from coopt.report.results import hand_written
from coopt.report.statistics import Summary
from coopt.report.tables import AVERAGE, fixed

# Okabe and Ito's palette without its yellow (too pale on white), and three of Paul Tol's muted one: told apart with any
# of the common colour-vision deficiencies.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#882255", "#999933", "#332288")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)))
FIXED_MARKERS = ("*", "X", "P", "d")
GAIN, LOSS = "#0072B2", "#D55E00"


def curve_figure(grid: Grid, narrow: bool = False) -> str | None:
    """The headline figure against shots, a panel for the average and for every data set (the CoOp paper's figure 3).

    Methods that do not learn are stars and level lines at 0 shots. Bars at the points are the standard deviation over
    seeds. A panel without a point is left out. None where no method learns; without matplotlib a MissingExtraError.
    """
    if not any(_has_points(grid, [name]) for name in grid.datasets):
        return None
    with style():
        return to_svg(_draw_curves(grid, narrow))


def gain_figure(grid: Grid, narrow: bool = False) -> str | None:
    """Gain over hand-written prompts with the most shots, a panel per variant (the CoOp paper's figure 4).

    All panels have one scale and one order of data sets: that of the mean gain over the panels. Whiskers are the 95%
    interval of the paired differences. None where there are no hand-written prompts, or nothing that learns and has a
    gain; without matplotlib a MissingExtraError.
    """
    baseline = hand_written(grid)
    shots = max((row.shots for row in grid.rows if row.shots is not None), default=None)
    if baseline is None or shots is None:
        return None
    panels = {row: _gains_of(grid, row, baseline) for row in grid.rows if row.shots == shots}
    panels = {row: bars for row, bars in panels.items() if any(bar.mean is not None for bar in bars.values())}
    if not panels:
        return None
    with style():
        return to_svg(_draw_gains(grid, panels, baseline, narrow))


def _has_points(grid: Grid, datasets: Sequence[str]) -> bool:
    """Whether a method that learns has a mean there."""
    learned = [row for row in grid.rows if row.shots is not None]
    return any(grid.summary(row, datasets, "all").mean is not None for row in learned)


def _gains_of(grid: Grid, row: Row, baseline: str) -> dict[str, Summary]:
    """The gain on every data set, and on all of them together where there are several."""
    other = grid.baseline_row(baseline, row)
    assert other is not None  # a method that does not learn is paired with every row
    places = {name: [name] for name in grid.datasets}
    if len(grid.datasets) > 1:
        places[AVERAGE] = grid.datasets
    return {name: grid.gain(row, other, datasets) for name, datasets in places.items()}


def _draw_curves(grid: Grid, narrow: bool) -> Any:
    learned = list(dict.fromkeys(row.variant for row in grid.rows if row.shots is not None))
    fixed_rows = [row for row in grid.rows if row.shots is None]
    panels: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in grid.datasets]
    if len(grid.datasets) > 1:
        panels.insert(0, (f"{AVERAGE} over {len(grid.datasets)} data sets", tuple(grid.datasets)))
    panels = [panel for panel in panels if _has_points(grid, panel[1])]
    n_columns = 1 if narrow else columns_for(len(panels), 4)
    n_rows = math.ceil(len(panels) / n_columns)
    width = NARROW if narrow else max(5.6, 3.1 * n_columns)
    variants = [*learned, *(row.variant for row in fixed_rows)]
    longest = max(min(60, len(name)) for name in variants)
    legend = max(1, min(len(variants), int(width / (0.085 * longest + 0.55))))
    n_lines = math.ceil(len(variants) / legend)
    figure = new_figure(width, 2.6 * n_rows + 0.22 * n_lines + 0.3)
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    shots = sorted({row.shots for row in grid.rows if row.shots is not None})
    handles: dict[str, Any] = {}
    for panel, (ax, (title, datasets)) in enumerate(zip(axes, panels, strict=False)):
        for i, variant in enumerate(learned):
            handles[variant] = _curve(ax, grid, variant, datasets, i)
        for i, row in enumerate(fixed_rows):
            handles[row.variant] = _level(ax, grid, row, datasets, i)
        ax.set_title(short(title, 30), fontweight="bold" if len(datasets) > 1 else "normal")
        ax.set_xticks([0, *(_place(n) for n in shots)], ["0", *map(str, shots)])
        ax.set_xlim(-0.4, _place(shots[-1]) + 0.3)
        if panel % n_columns == 0:
            ax.set_ylabel(grid.headline.label)
        if panel + n_columns >= len(panels):
            ax.set_xlabel("shots per class")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    names = [short(name, 34 if narrow else 60, lines=1) for name in handles]
    names = [f" {name}" if name.startswith("_") else name for name in names]  # a legend leaves out "_..."
    figure.legend(list(handles.values()), names, loc="outside lower center", ncols=legend, frameon=False)
    return figure


def _draw_gains(grid: Grid, panels: dict[Row, dict[str, Summary]], baseline: str, narrow: bool) -> Any:
    n_columns = 1 if narrow else columns_for(len(panels), 3)
    n_rows = math.ceil(len(panels) / n_columns)
    order = _order(grid, list(panels.values()))
    figure = new_figure(NARROW if narrow else max(5.6, 4.2 * n_columns), (0.27 * len(order) + 0.95) * n_rows)
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    unit = "points" if grid.headline.unit == "%" else grid.headline.unit.strip()
    unit = f" ({unit})" if unit else ""
    ends = [0.0]
    for ax, (row, bars) in zip(axes, panels.items(), strict=False):
        ends += _gains(ax, [(name, bars[name]) for name in order])
        ax.set_title(short(f"{row.variant}, {row.shots} {'shot' if row.shots == 1 else 'shots'}", 44))
        ax.set_xlabel(short(f"gain over {baseline}{unit}", 44, lines=1))
    low, high = min(ends), max(ends)
    span = high - low or 1.0
    for ax in axes[: len(panels)]:
        ax.set_xlim(low - (0.24 * span if low < 0 else 0.0), high + 0.24 * span)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return figure


def _order(grid: Grid, panels: Sequence[dict[str, Summary]]) -> list[str]:
    """The data sets from the highest mean gain over the panels to the lowest, those without one last; the average."""

    def place(name: str) -> tuple[bool, float]:
        gains = [gain for bars in panels if (gain := bars[name].mean) is not None]
        return not gains, -fmean(gains) if gains else 0.0

    return [*sorted(grid.datasets, key=place), *([AVERAGE] if len(grid.datasets) > 1 else [])]


def _curve(ax: Any, grid: Grid, variant: str, datasets: Sequence[str], i: int) -> Any:
    points = []
    for row in grid.rows:
        if row.variant == variant and row.shots is not None:
            summary = grid.summary(row, datasets, "all")
            if summary.mean is not None:
                points.append((_place(row.shots), summary.mean, summary.std or 0.0))
    colour = COLOURS[i % len(COLOURS)]
    look: dict[str, Any] = {"color": colour, "marker": MARKERS[i % len(MARKERS)], "linestyle": LINES[i % len(LINES)]}
    # Every second marker is hollow, which tells neighbours apart without colour.
    look |= {"markerfacecolor": "white" if i % 2 else colour, "markersize": 5, "linewidth": 1.4}
    if not points:
        return _key(**look)
    x, y, spread = zip(*points, strict=True)
    ax.errorbar(x, y, yerr=spread, fmt="none", ecolor=colour, elinewidth=0.8, capsize=2, alpha=0.6)
    return ax.plot(x, y, **look)[0]


def _level(ax: Any, grid: Grid, row: Row, datasets: Sequence[str], i: int) -> Any:
    mean = grid.summary(row, datasets, "all").mean
    marker = FIXED_MARKERS[i % len(FIXED_MARKERS)]
    grey = ("#000000", "#666666")[i % 2]
    look: dict[str, Any] = {"color": grey, "linestyle": "none", "marker": marker}
    look["markersize"] = 9 if marker == "*" else 6
    if mean is None:
        return _key(**look)
    ax.axhline(mean, color=grey, linewidth=0.8, linestyle=(0, (1, 2 + i)))
    return ax.plot([0], [mean], clip_on=False, **look)[0]


def _key(**look: Any) -> Any:
    """A line only for the legend: one without points in a panel would confuse the layout."""
    from matplotlib.lines import Line2D

    return Line2D([], [], **look)


def _gains(ax: Any, bars: Sequence[tuple[str, Summary]]) -> list[float]:
    """Draw the bars of a panel; the values at which they and their whiskers end."""
    ends = []
    for y, (_, summary) in enumerate(bars):
        mean = summary.mean
        if mean is None:
            ax.annotate("missing", (0, y), xytext=(4, 0), textcoords="offset points", va="center", color="#666666")
            continue
        look = {"color": GAIN} if mean >= 0 else {"color": "white", "edgecolor": LOSS, "hatch": "//////"}
        ax.barh(y, mean, 0.72, **look)
        low, high = (mean, mean) if summary.low is None or summary.high is None else (summary.low, summary.high)
        if high > low:
            sides = [[mean - low], [high - mean]]
            ax.errorbar(mean, y, xerr=sides, fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
        end = min(low, 0.0) if mean < 0 else max(high, 0.0)
        aside: dict[str, Any] = {"textcoords": "offset points", "va": "center", "fontsize": 8}
        aside |= {"xytext": (-4, 0), "ha": "right"} if mean < 0 else {"xytext": (4, 0), "ha": "left"}
        ax.annotate(fixed(mean, sign=True), (end, y), **aside)
        ends += [low, high]
    ax.set_yticks(range(len(bars)), [short(name, 26, lines=1) for name, _ in bars])
    ax.set_ylim(len(bars) - 0.45, -0.55)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.grid(False, axis="y")
    if len(bars) > 1:
        ax.axhline(len(bars) - 1.5, color="#999999", linewidth=0.6)
    return ends


def _place(shots: int) -> float:
    """Shots on a logarithmic axis that also has a 0."""
    return 1 + math.log2(shots)
