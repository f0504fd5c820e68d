"""A task whose figure is an error: the report takes name, unit and direction from the records."""

from pathlib import Path
from typing import Any

import pytest

from coopt.errors import RunError
from coopt.evaluate.record import ACCURACY, Record
from coopt.report import build_report, write_report
from coopt.report.figures import curve_figure, gain_figure
from coopt.report.grid import Grid, make_grids
from coopt.report.published import published_table
from coopt.report.results import calibration_table, difference_table, results_table
from coopt.tasks import Figure
from tests.report.records import bench_of, record

HEADLINE = {"name": "mae", "title": "mean absolute error", "unit": " years", "higher_is_better": False}


def error_record(mae: float, **changes: Any) -> dict[str, Any]:
    return record(task="ages:Years", headline=HEADLINE, metrics={"mae": mae, "spearman": 0.5}, **changes)


def lines() -> list[dict[str, Any]]:
    """Hand-written prompts err by 7 years; x by 4 and 5, y by 6 and 6."""
    errors = {("x", 1): 4.0, ("x", 2): 5.0, ("y", 1): 6.0, ("y", 2): 6.0}
    found = [error_record(mae, variant=variant, seed=seed) for (variant, seed), mae in errors.items()]
    return [*found, error_record(7.0, method="zero-shot", shots=None)]


def only_grid(found: list[dict[str, Any]], protocol: str = "fewshot") -> Grid:
    (grid,) = make_grids(bench_of(found), protocol)
    return grid


def test_the_lowest_is_best() -> None:
    table = results_table(only_grid(lines()))
    assert (table.key, table.title) == ("fewshot mae builtin", "Few-shot mean absolute error: builtin")
    assert [(row[0].text, row[3].text, row[3].best) for row in table.rows] == [
        ("zero-shot", "7.00", False),
        ("x", "4.50 ± 0.71", True),
        ("y", "6.00 ± 0.00", False),
    ]
    assert "Bold: the lowest mean" in " ".join(table.notes)


def test_a_negative_difference_is_a_gain() -> None:
    grid = only_grid(lines())
    table = difference_table(grid, "zero-shot")
    assert table is not None
    assert [row[3].text for row in table.rows] == ["−2.50 ± 0.71", "−1.00 ± 0.00"]
    assert table.notes[1] == "Lower is better: a negative difference is a gain."
    x, fixed = grid.rows[1], grid.rows[0]
    gain = grid.gain(x, fixed, ["icons"])
    difference = grid.difference(x, fixed, ["icons"], "all")
    assert (gain.mean, difference.mean, gain.std) == (2.5, -2.5, difference.std)
    assert difference.low is not None and difference.high is not None
    assert (gain.low, gain.high) == (-difference.high, -difference.low)


def test_the_figures_say_what_they_show() -> None:
    grid = only_grid(lines())
    curves, gains = curve_figure(grid), gain_figure(grid)
    assert curves is not None and gains is not None
    assert "mean absolute error (years)" in curves and "accuracy" not in curves
    assert "gain over zero-shot (years)" in gains
    assert "+2.50" in gains and "pattern" not in gains  # no loss, so nothing is hatched


def test_an_error_has_no_h_no_calibration_and_nothing_published() -> None:
    """A harmonic mean is for figures of which more is better."""
    found = [error_record(4.0, protocol="base-to-new", subset=subset, model="ViT-B/16") for subset in ("base", "new")]
    grid = only_grid(found, "base-to-new")
    table = results_table(grid)
    assert table.columns == ("Data set", "Method", "Shots", "Selection", "Base", "New")
    assert "H is the harmonic mean" not in " ".join(table.notes)
    assert calibration_table(grid) is None
    assert "published numbers are accuracies, not mean absolute errors" in published_table(grid)


def test_no_word_of_accuracy_in_the_whole_report(tmp_path: Path) -> None:
    report = build_report(bench_of(lines()))
    write_report(report, tmp_path)
    texts = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert not [path for path, text in texts.items() if "ccurac" in text or "accuracy" in path.name]
    assert "Mean absolute errors are in years." in report.facts["Runs"]
    header, first = (tmp_path / "tables" / "evaluations.csv").read_text().splitlines()[:2]
    assert header.endswith(",mae,spearman,run")
    assert ",4.000000,0.500000," in first
    assert build_report(bench_of(lines()[1:]), figures=False).n_missing == 1  # x with seed 1


def test_records_of_several_tasks_are_refused() -> None:
    with pytest.raises(
        RunError, match=r"ages:Years \(mean absolute error \(years\)\), classification \(accuracy \(%\)\)"
    ):
        bench_of([*lines(), record(60.0, dataset="other")])


def test_a_record_without_task_is_of_classification_and_comes_back_as_written() -> None:
    old = Record.from_dict(record(61.25), "a test")
    assert (old.task, old.headline) == ("classification", ACCURACY)
    assert Record.from_dict(old.as_dict(), "a test") == old
    new = Record.from_dict(error_record(4.0), "a test")
    assert new.headline == Figure("mae", "mean absolute error", " years", False)
    assert Record.from_dict(new.as_dict(), "a test") == new


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"headline": {**HEADLINE, "unit": None}}, "a test, headline: unit is None; it must be str"),
        ({"headline": {"name": "mae"}}, "a test, headline: the field 'title' is missing"),
        ({"headline": {**HEADLINE, "low": "mae_low"}}, "a test: metrics lacks mae_low"),
        ({"headline": {**HEADLINE, "higher_is_better": 1}}, "a test, headline: higher_is_better is 1; it must be bool"),
        ({"task": 3}, "a test: task is 3; it must be str"),
    ],
)
def test_a_headline_is_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError) as error:
        Record.from_dict({**error_record(4.0), **changes}, "a test")
    assert str(error.value).startswith(message)


def test_figures_in_words() -> None:
    assert ACCURACY.show(81.25) == "81.2%"
    assert Figure(**HEADLINE).show(3.44) == "3.44 years"  # an error may be small: 0.54, not 0.5
    assert (ACCURACY.plural, Figure(**HEADLINE).plural) == ("accuracies", "mean absolute errors")
    assert Figure("auc", "AUC", "", True).label == "AUC"
