"""Rows that were a mistake: refused before they are written, and taken out of a folder that has them."""

import json
from pathlib import Path

import pytest

from coopt.bench import BenchFolder, forget, read_failures, read_grid, read_records
from coopt.cli import main
from coopt.errors import ConfigError, RunError

ROW = "coop n_ctx=3, epochs=1"
OTHER = "linear-probe"


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["bench", *arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def command(data_file: Path, tmp_path: Path) -> list[str]:
    words = ["fewshot", "--datasets", "signs", "--data-file", str(data_file), "--out", str(tmp_path / "bench")]
    return [*words, "--shots", "1", "--seeds", "1", "--workers", "0"]


@pytest.fixture
def folder(command: list[str], tmp_path: Path) -> Path:
    assert call(*command, "--methods", f"zero-shot; {OTHER}; {ROW}") == 0
    return tmp_path / "bench"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("coop position=midle", "The row 'coop position=midle' cannot be used: position is 'midle'"),
        ("coop n_ctx=0", "n_ctx is 0"),
        ("tpt confidence=2", "confidence is 2.0"),
        ("coop n_ctx=7, ctx_init=a photo", "n_ctx"),
    ],
)
def test_a_mistyped_row_is_refused_before_anything_is_written(
    row: str, says: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert call(*command, "--methods", f"zero-shot; {row}") == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "bench").exists()


def test_all_mistyped_rows_are_named(command: list[str], capsys: pytest.CaptureFixture) -> None:
    assert call(*command, "--methods", "coop position=midle; kgcoop n_ctx=0; zero-shot") == 2
    told = capsys.readouterr().err
    assert "'coop position=midle'" in told and "'kgcoop n_ctx=0'" in told and "'zero-shot'" not in told


@pytest.mark.parametrize("spelling", [ROW, "coop epochs=1, n_ctx=3"])
def test_a_row_goes_with_its_records(
    spelling: str, folder: Path, command: list[str], capsys: pytest.CaptureFixture
) -> None:
    capsys.readouterr()
    assert call("--forget", spelling, "--out", str(folder), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"folder": str(folder), "rows": [ROW], "n_runs": 1, "n_failed": 0}
    assert (
        {r.variant for r in read_records(folder)} == {row.variant for row in read_grid(folder)} == {"zero-shot", OTHER}
    )
    assert call("--forget", spelling, "--out", str(folder)) == 2  # it is gone
    assert "the rows in" in capsys.readouterr().err
    assert call(*command, "--methods", f"zero-shot; {OTHER}; {ROW}") == 0  # and may be asked for again
    assert "1 of 3 runs done now, 2 before" in capsys.readouterr().out


def test_a_call_that_was_killed_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records go first: the grid names the row until nothing of it is left."""
    monkeypatch.setattr(BenchFolder, "drop_from_grid", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        forget(BenchFolder(folder), [ROW])
    monkeypatch.undo()
    assert ROW in {row.variant for row in read_grid(folder)}
    assert forget(BenchFolder(folder), [ROW]).n_runs == 0
    assert ROW not in {row.variant for row in read_grid(folder)}


def test_failures_go_too_and_a_protocol_may_be_named(folder: Path) -> None:
    failed = {"run": "x-1", "reason": "odd", "protocol": "fewshot", "variant": "coop n_ctx=99", "tests": []}
    (folder / "failed" / "x-1.json").write_text(json.dumps(failed))
    bench = BenchFolder(folder)
    with pytest.raises(ConfigError, match="of the protocol shift are none"):
        forget(bench, ["coop n_ctx=99"], "shift")
    assert forget(bench, ["coop n_ctx=99", OTHER], "fewshot") == (["coop n_ctx=99", OTHER], 1, 1)
    assert read_failures(folder) == []
    assert {r.variant for r in read_records(folder)} == {"zero-shot", ROW}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--forget", "cop n_ctx=3, epochs=1"], 2, "Did you mean 'coop n_ctx=3, epochs=1'"),
        (["--forget", ROW, "--methods", "coop"], 2, "leave out --methods"),
        (["fewshots", "--forget", ROW], 2, "Did you mean 'fewshot'"),
        ([], 2, "Name a protocol"),
    ],
)
def test_what_cannot_be_forgotten(
    words: list[str], code: int, says: str, folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert call(*words, "--out", str(folder)) == code
    assert says in " ".join(capsys.readouterr().err.split())
    assert len(read_records(folder)) == 3


def test_a_folder_at_work_or_without_a_benchmark_is_refused(folder: Path, tmp_path: Path) -> None:
    held = BenchFolder(folder).claim("some-run")
    assert held is not None
    with pytest.raises(RunError, match="is at work in"):
        forget(BenchFolder(folder), [ROW])
    held.release()
    with pytest.raises(RunError, match="is not there"):
        forget(BenchFolder(tmp_path / "nothing"), [ROW])


def test_datasets_choose_among_a_suite(
    data_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    suites = __import__("coopt.bench.choice", fromlist=["SUITES"]).SUITES
    monkeypatch.setitem(suites, "drawn", ["shapes", "chalk"])
    command = ["zero-shot", "--suite", "drawn", "--data-file", str(data_file), "--out", str(tmp_path / "b")]
    assert call(*command, "--datasets", "chalk", "--workers", "0") == 0
    assert {r.dataset for r in read_records(tmp_path / "b")} == {"chalk"}
    assert call(*command, "--datasets", "chalk,signs") == 2
    assert "--datasets names signs, which --suite drawn does not have: it has shapes, chalk" in " ".join(
        capsys.readouterr().err.split()
    )
