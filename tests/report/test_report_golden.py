"""The tables of fixed records, byte for byte. After a change that is meant: python -m tests.report.golden"""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coopt.report import build_report, read_bench, write_report
from coopt.report.markup import to_csv
from coopt.report.write import result_pages
from tests.report.golden import GOLDEN, golden_failures, golden_files, golden_lines
from tests.report.records import bench_of, write_folder


def test_the_tables_are_the_committed_ones(tmp_path: Path) -> None:
    found = golden_files(tmp_path)
    assert sorted(found) == sorted(path.name for path in GOLDEN.iterdir())
    for name, text in found.items():
        assert text == (GOLDEN / name).read_text(encoding="utf-8"), name


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_the_records_changes_nothing(seed: int) -> None:
    lines, chance = golden_lines(), random.Random(seed)
    chance.shuffle(lines)
    for line in lines:
        items = list(line.items())
        chance.shuffle(items)
        line.clear()
        line.update(items)
    report = build_report(bench_of(lines, golden_failures()), against=True, figures=False)
    assert result_pages(report) == (GOLDEN / "report.md").read_text(encoding="utf-8")
    assert to_csv(report.lists[0]) == (GOLDEN / "evaluations.csv").read_text(encoding="utf-8")


def test_times_and_memory_change_only_their_own_files(tmp_path: Path) -> None:
    def files(factor: float) -> dict[str, str]:
        lines = [
            {**line, "seconds": {"fit": factor, "evaluate": factor}, "peak_memory_mb": 100 * factor}
            for line in golden_lines()
        ]
        out = tmp_path / str(factor)
        write_report(build_report(bench_of(lines), figures=False), out)
        return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}

    one, other = files(1.0), files(3.0)
    changed = sorted(name for name in one if one[name] != other[name])
    costs = ["tables/costs-of-runs.csv", "tables/costs.csv", "tables/costs.md", "tables/costs.tex"]
    assert changed == ["report.html", *costs]


@pytest.mark.parametrize("one_file", [True, False])
def test_the_files_that_hold_the_records_change_nothing(tmp_path: Path, one_file: bool) -> None:
    folder = write_folder(tmp_path / "bench", golden_lines(), golden_failures())
    if one_file:
        files = sorted((folder / "runs").iterdir(), reverse=True)
        text = "\n".join(file.read_text() for file in files)
        for file in files:
            file.unlink()
        (folder / "runs" / "all.jsonl").write_text(text)
    assert read_bench(folder) == bench_of(golden_lines(), golden_failures())
