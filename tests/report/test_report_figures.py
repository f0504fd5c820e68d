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
    assert [section.figures for section in report.results] == [()]


def test_matplotlib_is_an_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    bench = bench_of(fewshot_grid(["icons"], ["coop"], shots=(1,), seeds=1))
    with pytest.raises(MissingExtraError, match=r"pip install 'coopt\[report\]'"):
        build_report(bench)
    assert "report.html" in write_report(build_report(bench, figures=False), tmp_path)
