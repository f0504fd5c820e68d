"""The bench folder: what may be one, and what is read from it."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from coopt.bench import BenchFolder, read_failures, read_grid, read_records
from coopt.bench.grid import grid_rows
from coopt.bench.records import merge_rows
from coopt.errors import RunError
from tests.bench.compare import accuracy_table, comparable
from tests.bench.fake import fake_records, fake_run


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunError, match="is no bench folder .it has thesis.tex"):
        BenchFolder(tmp_path)
    with pytest.raises(RunError, match="is a file"):
        BenchFolder(tmp_path / "thesis.tex")


@pytest.mark.parametrize("change", [{"format": 2}, {"version": "1.2.0"}])
def test_a_folder_of_another_version_is_refused(tmp_path: Path, change: dict) -> None:
    BenchFolder(tmp_path).add_to_grid(grid_rows([fake_run(1)]))
    BenchFolder(tmp_path)
    grid = json.loads((tmp_path / "grid.json").read_text())
    (tmp_path / "grid.json").write_text(json.dumps({**grid, **change}))
    with pytest.raises(RunError, match="was written by coopt .* Choose a new folder with --out"):
        BenchFolder(tmp_path)


def test_what_a_kill_leaves_behind_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".grid.json.k2j3.tmp").write_text("{")
    (tmp_path / "locks").mkdir()
    folder = BenchFolder(tmp_path)
    folder.add_to_grid(grid_rows([fake_run(1)]))
    (tmp_path / "runs" / ".x.jsonl.abc.tmp").write_text('{"half')
    assert read_records(tmp_path) == []
    assert len(read_grid(tmp_path)) == 1


def test_damage_is_named(tmp_path: Path) -> None:
    folder = BenchFolder(tmp_path)
    folder.add_to_grid([])
    folder.record_file("x").write_text('{"run": "x"}\n{"run')
    folder.failure_file("y").write_text("[]")
    with pytest.raises(RunError, match="x.jsonl, line 1: format is None"):
        read_records(tmp_path)
    with pytest.raises(RunError, match="y.json holds list in place of an object"):
        read_failures(tmp_path)
    (tmp_path / "grid.json").write_text("{}")
    with pytest.raises(RunError, match="no list of rows"):
        read_grid(tmp_path)
    with pytest.raises(RunError, match="is not there"):
        read_grid(tmp_path / "nowhere")


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    folder = BenchFolder(tmp_path)
    folder.prepare()
    records = fake_records(fake_run(2, "caf\u00e9\u2028bar", ("caf\u00e9\u2028bar", "b")))
    folder.write_records(records[0].run, records)
    assert read_records(tmp_path) == records


def test_rows_of_one_kind_become_one() -> None:
    rows = grid_rows([fake_run(2), fake_run(1), fake_run(1, "b"), fake_run(1, tests=("a", "b"))])
    assert [(row.source, row.seeds, row.tests) for row in merge_rows(rows)] == [
        ("a", (1, 2), (("a", "all"), ("b", "all"))),
        ("b", (1,), (("b", "all"),)),
    ]


def test_what_is_compared_leaves_out_time_and_memory_alone() -> None:
    (record,) = fake_records(fake_run(1))
    varied = replace(record, seconds={"fit": 9.0}, peak_memory_mb=1.0)
    assert comparable([record]) == comparable([varied])
    other: dict[str, Any] = dict.fromkeys(("shots", "seed", "n_parameters", "n_classes", "n_train", "n_test"), 97)
    other |= dict.fromkeys(("settings", "recipe", "metrics", "versions"), {"other": 97.0})
    other["headline"] = replace(record.headline, title="other")
    for name in {field.name for field in fields(record)} - {"seconds", "peak_memory_mb"}:
        assert comparable([record]) != comparable([replace(record, **{name: other.get(name, "other")})]), name
    assert accuracy_table([record]) != accuracy_table([replace(record, metrics={"accuracy": 10.000001})])
