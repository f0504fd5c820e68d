"""The bench folder: what may be one, and what is read from it."""

import json
from pathlib import Path

import pytest

from coopt.bench import BenchFolder, read_failures, read_grid, read_records
from coopt.bench.grid import grid_rows
from coopt.bench.records import accuracy_table, comparable, merge_rows
from coopt.errors import RunError
from tests.bench.fake import fake_lines, fake_run


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
    with pytest.raises(RunError, match="x.jsonl' is damaged"):
        read_records(tmp_path)
    with pytest.raises(RunError, match="y.json' holds no object"):
        read_failures(tmp_path)
    (tmp_path / "grid.json").write_text("{}")
    with pytest.raises(RunError, match="no list of rows"):
        read_grid(tmp_path)
    with pytest.raises(RunError, match="is not there"):
        read_grid(tmp_path / "nowhere")


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    folder = BenchFolder(tmp_path)
    folder.prepare()
    lines = fake_lines(fake_run(2, "caf\u00e9\u2028bar", ("caf\u00e9\u2028bar", "b")))
    folder.write_records(lines[0]["run"], lines)
    assert read_records(tmp_path) == lines


def test_rows_of_one_kind_become_one() -> None:
    rows = grid_rows([fake_run(2), fake_run(1), fake_run(1, "b"), fake_run(1, tests=("a", "b"))])
    assert [(row["source"], row["seeds"], row["tests"]) for row in merge_rows(rows)] == [
        ("a", [1, 2], [["a", "all"], ["b", "all"]]),
        ("b", [1], [["b", "all"]]),
    ]


def test_what_is_compared_leaves_out_time_and_memory_alone() -> None:
    (line,) = fake_lines(fake_run(1))
    varied = {**line, "seconds": {"fit": 9.0}, "peak_memory_mb": 1.0}
    assert comparable([line]) == comparable([varied])
    for name in set(line) - {"seconds", "peak_memory_mb"}:
        assert comparable([line]) != comparable([{**line, name: "other"}]), name
    assert accuracy_table([line]) != accuracy_table([{**line, "metrics": {"accuracy": 10.000001}}])
