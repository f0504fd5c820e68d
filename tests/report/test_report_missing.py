"""What is missing prints as missing: never a mean over fewer seeds or data sets than the grid has."""

from coopt.report import build_report
from coopt.report.grid import make_grids
from coopt.report.results import calibration_table, difference_table, results_table
from coopt.report.tables import MISSING, NOT_ASKED, Table
from tests.report.records import bench_of, record


def table_of(lines: list[dict], protocol: str = "fewshot", asked: tuple = (), failures: tuple = ()) -> Table:
    (grid,) = make_grids(bench_of(lines, failures, asked), protocol)
    return results_table(grid)


def texts(table: Table) -> dict[tuple[str, ...], list[str]]:
    """By the words that begin a line, its numbers."""
    first = table.columns.index("Selection") + 1
    key = [j for j in range(first - 1) if j != first - 1]
    return {
        tuple(line[j].text for j in key): [f"{e.text} {e.detail}".strip() for e in line[first:]] for line in table.rows
    }


def test_a_seed_that_another_cell_has_is_missing_and_takes_the_average_with_it() -> None:
    lines = [record(50.0 + s, source=d, seed=s) for d in ("a", "b") for s in (1, 2, 3)]
    complete = texts(table_of(lines))["coop", "16"]
    assert complete[0].startswith("52.00 ± 1.00 n=3 [")
    assert complete[2].startswith("52.00 ± 1.00 n=3 [")
    lines = [line for line in lines if (line["source"], line["seed"]) != ("b", 2)]
    assert texts(table_of(lines))["coop", "16"] == [complete[0], "– n=2 of 3", "– n=2 of 3"]


def test_a_data_set_that_a_row_lacks_takes_its_average_with_it() -> None:
    lines = [record(50.0, source=d, variant=v) for d, v in (("a", "x"), ("b", "x"), ("a", "y"))]
    assert texts(table_of(lines)) == {
        ("x", "16"): ["50.00 n=1"] * 3,
        ("y", "16"): ["50.00 n=1", "– n=0 of 1", "– n=0 of 1"],
    }


def test_a_failed_run_is_missing_even_where_no_record_names_it() -> None:
    failure = {"run": "x", "reason": "no memory", "protocol": "fewshot", "model": "builtin", "method": "coop"}
    failure |= {"variant": "coop", "source": "b", "shots": 16, "seed": 2}
    found = texts(table_of([record(50.0, source="a")], failures=(failure,)))
    assert found["coop", "16"] == ["– n=1 of 2", "– n=0 of 2", "– n=0 of 2"]


def test_what_was_asked_for_and_never_begun_is_missing() -> None:
    asked = {"protocol": "fewshot", "model": "builtin", "method": "coop", "source": "a", "tests": [["a", "all"]]}
    rows = (
        {**asked, "variant": "coop", "shots": 16, "seeds": [1, 2, 3]},
        {**asked, "variant": "coop", "shots": 8, "seeds": [1, 2, 3]},
        {**asked, "variant": "once", "shots": 16, "seeds": [1]},
    )
    lines = [record(50.0, source="a", seed=s) for s in (1, 2)] + [record(40.0, source="a", variant="once")]
    assert texts(table_of(lines, asked=rows)) == {
        ("coop", "8"): ["– n=0 of 3"],
        ("coop", "16"): ["– n=2 of 3"],
        ("once", "16"): ["40.00 n=1"],
    }


def test_a_cell_that_nobody_asked_for_says_so_and_is_not_counted() -> None:
    """A classifier has no answer for new classes: its new accuracy, and H with it, is no missing run."""
    asked = {"protocol": "base-to-new", "model": "builtin", "source": "a", "shots": 16, "seeds": [1]}
    both, base = [["a", "base"], ["a", "new"]], [["a", "base"]]
    rows = (
        {**asked, "method": "coop", "variant": "coop", "tests": both},
        {**asked, "method": "linear-probe", "variant": "linear-probe", "tests": base},
    )
    place = {"protocol": "base-to-new", "source": "a"}
    lines = [record(70.0, subset="base", **place), record(70.0, subset="new", **place)]
    lines.append(record(90.0, method="linear-probe", subset="base", **place))
    table = table_of(lines, "base-to-new", asked=rows)
    assert texts(table)["a", "linear-probe", "16"] == ["90.00 n=1", f"– {NOT_ASKED}", f"– {NOT_ASKED}"]
    assert build_report(bench_of(lines, asked=rows), figures=False).n_missing == 0
    assert build_report(bench_of(lines[:1], asked=rows), figures=False).n_missing == 3  # new, H, the classifier's base


def test_a_pair_that_is_not_there_is_missing() -> None:
    lines = [record(50.0 + s, variant=v, seed=s) for v in ("x", "y") for s in (1, 2, 3)]
    (grid,) = make_grids(bench_of([x for x in lines if (x["variant"], x["seed"]) != ("y", 3)]), "fewshot")
    table = difference_table(grid, "y")
    assert table is not None
    assert [(e.text, e.detail) for e in table.rows[0][3:]] == [(MISSING, "n=2 of 3")]


def test_a_fixed_prompt_needs_one_seed_and_is_paired_with_all() -> None:
    lines = [record(50.0 + s, seed=s) for s in (1, 2, 3)] + [record(45.0, method="zero-shot", shots=None)]
    (grid,) = make_grids(bench_of(lines), "fewshot")
    assert texts(results_table(grid))["zero-shot", "0"] == ["45.00 n=1"]
    table = difference_table(grid, "zero-shot")
    assert table is not None
    assert table.rows[0][3].text == "+7.00 ± 1.00"


def test_no_line_of_an_incomplete_block_is_called_best() -> None:
    lines = [record(50.0 + s, variant=v, seed=s) for v in ("x", "y") for s in (1, 2)]
    assert [line[3].best for line in table_of(lines).rows] == [True, True]
    assert [line[3].best for line in table_of([*lines[:3], record(60.0, variant="y", seed=2)]).rows] == [False, True]
    assert [line[3].best for line in table_of(lines[:3]).rows] == [False, False]


def test_the_best_is_found_among_what_was_asked_for() -> None:
    row = {"protocol": "fewshot", "model": "builtin", "method": "coop", "shots": 16, "seeds": [1]}
    tests = {"x": "ab", "y": "ab", "z": "a"}
    rows = tuple({**row, "variant": v, "source": d, "tests": [[d, "all"]]} for v, names in tests.items() for d in names)
    accuracies = {("x", "a"): 50.0, ("y", "a"): 40.0, ("z", "a"): 60.0, ("x", "b"): 50.0, ("y", "b"): 70.0}
    table = table_of([record(a, variant=v, source=d) for (v, d), a in accuracies.items()], asked=rows)
    assert [[entry.best for entry in line[3:5]] for line in table.rows] == [
        [False, False],
        [False, True],
        [True, False],
    ]


def test_sources_of_transfer_have_tables_of_their_own() -> None:
    """Two sources with variants of their own; the fixed prompt was measured on each data set by itself."""
    place = {"protocol": "shift"}
    lines = []
    for source, variant, accuracy in (("a", "a-noisy", 60.0), ("b", "b-dark", 40.0)):
        for dataset in (source, variant):
            lines.append(record(accuracy, source=source, dataset=dataset, **place))
            lines.append(record(accuracy - 9, method="zero-shot", shots=None, source=dataset, dataset=dataset, **place))
    grids = make_grids(bench_of(lines), "shift")
    assert [(grid.source, grid.datasets) for grid in grids] == [("a", ["a", "a-noisy"]), ("b", ["b", "b-dark"])]
    assert [texts(results_table(grid))["zero-shot", "0"] for grid in grids] == [["51.00 n=1"] * 2, ["31.00 n=1"] * 2]


def test_the_average_of_transfer_is_without_the_source() -> None:
    accuracies = {"a": 90.0, "b": 30.0, "c": 50.0}
    lines = [record(v, protocol="cross-dataset", source="a", dataset=d) for d, v in accuracies.items()]
    table = table_of(lines, "cross-dataset")
    assert table.columns[3:] == ("a (source)", "b", "c", "Average of targets")
    assert texts(table)["coop", "16"] == ["90.00 n=1", "30.00 n=1", "50.00 n=1", "40.00 n=1"]


def test_hand_written_prompts_of_the_other_protocol_join_the_curves() -> None:
    lines = [record(50.0, source="a"), record(44.0, protocol="zero-shot", method="zero-shot", shots=None, source="a")]
    lines.append(record(33.0, protocol="zero-shot", method="zero-shot", shots=None, source="elsewhere"))
    assert texts(table_of(lines)) == {("zero-shot", "0"): ["44.00 n=1"], ("coop", "16"): ["50.00 n=1"]}


def test_calibration_is_that_of_the_records() -> None:
    (grid,) = make_grids(bench_of([record(64.0, seed=1), record(60.0, seed=2)]), "fewshot")
    table = calibration_table(grid)
    assert table is not None
    assert table.rows[0][3].text == "38.00 ± 2.83"
