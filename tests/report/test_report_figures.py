"""The pictures: same bytes for the same records, every method to be told apart without colour."""

import random
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import pytest

from coopt.errors import MissingExtraError
from coopt.report import build_report, write_report
from coopt.report.canvas import DARK
from coopt.report.figures import COLOURS, LINES, MARKERS, curve_figure, gain_figure
from coopt.report.grid import Grid, make_grids
from tests.report.records import bench_of, fewshot_grid, record

SETS = ["icons", "digits $x_1$ and a very long name that has to be cut somewhere", "图标", "_hidden"]


def grid_of(lines: list[dict]) -> Grid:
    (grid,) = make_grids(bench_of(lines), "fewshot")
    return grid


def texts(svg: str) -> list[str]:
    return ["".join(e.itertext()).strip() for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("}text")]


def test_the_same_records_give_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = fewshot_grid(SETS[1:], ["coop", "_linear <b>&"], shots=(1, 4), seeds=2)
    first = curve_figure(grid_of(lines)), gain_figure(grid_of(lines))
    random.Random(3).shuffle(lines)
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 31.0)  # what a user's matplotlibrc may say
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 7.0)
    assert (curve_figure(grid_of(lines)), gain_figure(grid_of(lines))) == first
    for svg in first:
        assert svg is not None
        assert "date" not in svg.lower()
        outside = set(re.findall(r"https?://[^\s\"<]+", svg)) - {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xlink",
        }
        assert not outside


def test_names_are_shown_whatever_they_hold() -> None:
    svg = curve_figure(grid_of(fewshot_grid(SETS, ["coop", "_linear <b>&"], shots=(1, 4))))
    assert svg is not None
    shown = texts(svg)
    for name in ("icons", "digits $x_1$ and a very long", "图标", "_hidden", "coop", "_linear <b>&", "zero-shot"):
        assert name in shown, name
    assert "Average over 4 data sets" in shown
    assert {"0", "1", "4"} <= set(shown)


def test_gains_are_sorted_and_show_their_values() -> None:
    gains = {"a": 2.0, "b": -3.5, "c": 11.25}
    lines = [record(40.0, method="zero-shot", shots=None, source=d) for d in gains]
    lines += [record(40.0 + gain, source=d, seed=1) for d, gain in gains.items()]
    svg = gain_figure(grid_of(lines))
    assert svg is not None
    shown = texts(svg)
    assert [name for name in shown if name in ("a", "b", "c", "Average")] == ["c", "a", "b", "Average"]
    assert "http" not in svg.replace("http://www.w3.org/", "")
    assert [text for text in shown if text in ("+11.25", "+2.00", "−3.50", "+3.25")] == [
        "+11.25",
        "+2.00",
        "−3.50",
        "+3.25",
    ]
    assert "pattern" in svg  # a loss is hatched
    without_loss = gain_figure(grid_of([line for line in lines if line["source"] != "b"]))
    assert without_loss is not None
    assert "pattern" not in without_loss


def test_what_is_missing_is_named_and_not_drawn() -> None:
    lines = fewshot_grid(["a", "b"], ["coop"], shots=(1, 2))
    lines = [x for x in lines if (x["source"], x["shots"], x["seed"]) != ("b", 2, 3)]
    gains, curves = gain_figure(grid_of(lines)), curve_figure(grid_of(lines))
    assert gains is not None
    assert texts(gains).count("missing") == 2  # b, and the average with it
    complete = curve_figure(grid_of(fewshot_grid(["a", "b"], ["coop"], shots=(1, 2))))
    assert curves is not None and complete is not None
    # The points of the one curve, with its legend: the average and two data sets with two numbers of shots each.
    assert [len(re.findall("<use [^>]*fill: #0072b2", svg)) for svg in (complete, curves)] == [7, 5]


def gains_of(accuracies: dict[str, dict[str, tuple[float, ...]]], baseline: float = 40.0) -> str:
    """The figure of variants with accuracies by data set, one per seed."""
    datasets = sorted({d for by_set in accuracies.values() for d in by_set})
    lines = [record(baseline, method="zero-shot", shots=None, source=d) for d in datasets]
    for variant, by_set in accuracies.items():
        for d, values in by_set.items():
            lines += [record(v, variant=variant, source=d, seed=s) for s, v in enumerate(values, 1)]
    svg = gain_figure(grid_of(lines))
    assert svg is not None
    return svg


def test_gains_have_one_scale_and_one_order() -> None:
    """x gains most on a, y on c; by the mean of both the order is c, a, b: the same in each panel, as is the axis."""
    svg = gains_of({"x": {"a": (60.0,), "b": (41.0,), "c": (55.0,)}, "y": {"a": (45.0,), "b": (38.0,), "c": (90.0,)}})
    shown = texts(svg)
    assert [name for name in shown if name in ("a", "b", "c", "Average")] == ["c", "a", "b", "Average"] * 2
    ticks = [text for text in shown if re.fullmatch(r"−?\d+", text)]
    assert len(ticks) > 4 and ticks[: len(ticks) // 2] == ticks[len(ticks) // 2 :]
    assert "40" in ticks  # what y needs, x has too


def test_no_panel_is_empty() -> None:
    complete = {"a": (60.0, 61.0), "b": (50.0, 52.0)}
    svg = gains_of({"x": complete, "never": {"a": (60.0,), "b": (50.0,)}})  # its second seeds are missing
    assert "x, 16 shots" in texts(svg) and "never, 16 shots" not in texts(svg)
    lines = fewshot_grid(["a", "b"], ["coop"], shots=(1, 2))
    failure = {"run": "x", "reason": "no memory", "protocol": "fewshot", "model": "builtin", "method": "coop"}
    failure |= {"variant": "coop", "source": "c", "shots": 2, "seed": 1}
    (grid,) = make_grids(bench_of(lines, [failure]), "fewshot")
    for narrow in (False, True):
        shown = texts(curve_figure(grid, narrow) or "")
        assert {"a", "b"} <= set(shown) and not {"c", "Average over 3 data sets"} & set(shown)
    nothing = [record(40.0, method="zero-shot", shots=None, source="a"), record(50.0, source="b")]
    assert gain_figure(grid_of(nothing)) is None


def test_an_interval_that_cannot_be_is_not_drawn() -> None:
    """Two seeds at 50 and 75 around a gain of 22.5 would give -136 to 181."""
    wide, narrow = (gains_of({"x": {"a": values}}) for values in ((50.0, 75.0), (62.0, 63.0)))
    caps = [len(re.findall(r"<use ", svg)) - len(texts(svg)) for svg in (wide, narrow)]
    assert "+22.50" in texts(wide) and "+22.50" in texts(narrow)
    assert caps[1] == caps[0] + 2  # the two ends of a whisker


def test_figures_follow_a_dark_page_and_a_narrow_one() -> None:
    grid = grid_of(fewshot_grid(["a", "b", "c"], ["coop", "linear-probe"], shots=(1, 2)))
    for draw in (curve_figure, gain_figure):
        wide, narrow = draw(grid), draw(grid, narrow=True)
        assert wide is not None and narrow is not None
        for svg in (wide, narrow):
            (dark,) = re.findall(r"<style>@media \(prefers-color-scheme: dark\) \{(.*?)\}</style>", svg)
            used = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg.split("</style>")[-1]))
            assert "#ffffff" in used
            dim = {c for c in used if luminance(DARK.get(c, c)) < 0.15 and c not in ("#ffffff", "#dddddd")}
            assert not dim
            assert all(f'[style*="fill: {c}"]' in dark for c in used & DARK.keys())
        widths = [float(re.findall(r'viewBox="0 0 ([0-9.]+)', svg)[0]) for svg in (wide, narrow)]
        assert widths[1] < 300 < widths[0]
        assert set(texts(narrow)) >= {"a", "b", "c", "coop"} - ({"coop"} if draw is gain_figure else set())


def luminance(colour: str) -> float:
    """Relative luminance, about: the dark page has 0.01."""
    r, g, b = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 0.2126 * r**2.2 + 0.7152 * g**2.2 + 0.0722 * b**2.2


def test_ten_methods_look_different_without_colour() -> None:
    looks = {(MARKERS[i % len(MARKERS)], str(LINES[i % len(LINES)]), i % 2) for i in range(22)}
    assert len(looks) == 22
    assert len(set(COLOURS)) == len(COLOURS) == 10
    variants = [f"coop n_ctx={n}" for n in range(1, 11)]
    svg = curve_figure(grid_of(fewshot_grid(["icons"], variants, shots=(1, 2), seeds=1)))
    assert svg is not None
    assert [name for name in texts(svg) if name in variants] == variants


def test_nothing_to_draw() -> None:
    zero_shot = grid_of([record(40.0, method="zero-shot", shots=None)])
    assert (curve_figure(zero_shot), gain_figure(zero_shot)) == (None, None)
    assert gain_figure(grid_of([record(40.0)])) is None  # no hand-written prompts
    report = build_report(bench_of([record(40.0, protocol="shift")]))
    assert [section.figures for section in report.results] == [(), ()]  # the summary, and shift


def test_matplotlib_is_an_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    bench = bench_of(fewshot_grid(["icons"], ["coop"], shots=(1,), seeds=1))
    with pytest.raises(MissingExtraError, match=r"pip install 'coopt\[report\]'"):
        build_report(bench)
    assert "report.html" in write_report(build_report(bench, figures=False), tmp_path)
