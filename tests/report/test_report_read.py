"""Records are checked as they are read: a damaged line is named, with its file, and never counted."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from coopt.errors import RunError
from coopt.report import read_bench
from tests.report.records import bench_of, record, write_folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format is 2; this coopt reads format 1"),
        ({"protocol": "one-shot"}, "protocol is 'one-shot'; allowed is fewshot, base-to-new"),
        ({"subset": "half"}, "subset is 'half'; allowed is all, base, new"),
        ({"shots": 1.5}, "shots is 1.5; it must be int or null"),
        ({"seed": True}, "seed is True; it must be int"),
        ({"settings": None}, "settings is None; it must be dict"),
        ({"metrics": {"accuracy": 60.0}}, "metrics lacks accuracy_low, accuracy_high, macro_f1, calibration_error"),
        ({"seconds": {"fit": "long"}}, "seconds.fit is 'long'; it must be a finite number"),
        ({"seconds": {"fit": math.nan}}, "seconds.fit is nan; it must be a finite number"),
    ],
)
def test_what_a_line_must_hold(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    lines = [record(60.0, run="r", dataset="a"), {**record(60.0, run="r", dataset="b"), **changes}]
    folder = write_folder(tmp_path / "bench", lines)
    with pytest.raises(RunError) as error:
        read_bench(folder)
    assert str(error.value).startswith(f"{folder / 'runs' / 'r.jsonl'}, line 2: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"format": 1, "run"', "line 1 is no JSON"),
        (b"[1]\n", "line 1 holds list in place of an object"),
        (b'{"format": 1}\n', "line 1: the field 'run' is missing"),
        (b"\xff\xfe\n", "is not UTF-8 text"),
        (b"[" * 100_000, "line 1 is no JSON"),
    ],
)
def test_damaged_files(tmp_path: Path, text: bytes, message: str) -> None:
    folder = write_folder(tmp_path / "bench", [record()])
    (folder / "runs" / "z.jsonl").write_bytes(text)
    with pytest.raises(RunError, match="z.jsonl") as error:
        read_bench(folder)
    assert message in str(error.value)


def test_odd_characters_inside_a_line_do_not_end_it(tmp_path: Path) -> None:
    line = record(variant="a\u2028b\x85c")
    folder = write_folder(tmp_path / "bench", [])
    (folder / "runs" / "r.jsonl").write_text(json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [e.variant for e in read_bench(folder).evaluations] == ["a\u2028b\x85c"]


def test_an_empty_folder_says_where_records_come_from(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no benchmark records.*coopt bench"):
        read_bench(tmp_path)


def test_one_cell_measured_twice_is_refused() -> None:
    with pytest.raises(
        RunError, match="'one' and 'two' both measured fewshot, builtin, 'coop', icons.*seed 1.*settings"
    ):
        bench_of([record(60.0, run="one"), record(61.0, run="two", settings={"n_ctx": 4})])


def test_weights_of_one_name_are_two_models() -> None:
    bench = bench_of([record(60.0, run="one"), record(61.0, run="two", fingerprint="beef" * 8)])
    assert [e.model for e in bench.evaluations] == ["builtin (beefbeef)", "builtin (f00d)"]


def test_whole_numbers_are_numbers() -> None:
    line = record()
    line["metrics"] = dict.fromkeys(line["metrics"], 60)
    (evaluation,) = bench_of([line]).evaluations
    assert evaluation.metrics["accuracy"] == 60.0
    assert isinstance(evaluation.metrics["accuracy"], float)


def test_a_failure_that_later_went_through_does_not_count() -> None:
    failures = [{"run": run, "reason": "no memory"} for run in ("one", "two")]
    assert [f.run for f in bench_of([record(run="one")], failures).failures] == ["two"]


def test_failures_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="f.json: seed is '1'; it must be int"):
        read_bench(write_folder(tmp_path / "bench", [record()], [{"run": "f", "reason": "x", "seed": "1"}]))
    with pytest.raises(RunError, match="the field 'reason' is missing"):
        read_bench(write_folder(tmp_path / "other", [record()], [{"run": "f"}]))


ROW = {"protocol": "fewshot", "model": "builtin", "method": "coop", "variant": "coop", "source": "icons", "shots": 16}


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"rows": 3}, "has no list of rows"),
        ({"rows": [7]}, "row 1 is 7; it must be an object"),
        ({"rows": [ROW]}, "row 1: the field 'seeds' is missing"),
        ({"rows": [{**ROW, "seeds": ["1"], "tests": []}]}, "seeds is ['1']; it must be a list of whole numbers"),
        (
            {"rows": [{**ROW, "seeds": [1], "tests": [["a"]]}]},
            "tests is [['a']]; it must be a list of [data set, subset]",
        ),
    ],
)
def test_what_was_asked_for_is_checked(tmp_path: Path, grid: dict[str, Any], message: str) -> None:
    folder = write_folder(tmp_path / "bench", [record()])
    (folder / "grid.json").write_text(json.dumps({"format": 1, **grid}))
    with pytest.raises(RunError) as error:
        read_bench(folder)
    assert message in str(error.value)
    (folder / "grid.json").write_text(json.dumps({"rows": [{**ROW, "seeds": [2, 1], "tests": [["icons", "all"]]}]}))
    (asked,) = read_bench(folder).asked
    assert (asked.seeds, asked.tests) == ((1, 2), (("icons", "all"),))


@pytest.mark.parametrize(("tests", "n_failed"), [([["a", "all"], ["b", "all"]], 0), ([["a", "all"], ["c", "all"]], 1)])
def test_a_failure_whose_evaluations_other_runs_have_is_over(tmp_path: Path, tests: list, n_failed: int) -> None:
    """A data set that was mended has another id, and so has a run that tests the rest of a transfer."""
    place = {"protocol": "cross-dataset", "source": "a", "seed": 2}
    lines = [record(60.0, run="r1", dataset="a", **place), record(60.0, run="r2", dataset="b", **place)]
    folder = write_folder(tmp_path / "bench", lines)
    names = ("protocol", "model", "method", "variant", "source", "shots", "seed")
    failure = {"run": "old", "reason": "no", **{name: lines[0][name] for name in names}, "tests": tests}
    (folder / "failed").mkdir(exist_ok=True)
    (folder / "failed" / "old.json").write_text(json.dumps(failure))
    assert len(read_bench(folder).failures) == n_failed
    (folder / "failed" / "old.json").write_text(json.dumps({**failure, "seed": 1}))
    assert len(read_bench(folder).failures) == 1
