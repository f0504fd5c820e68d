"""`coopt demo` on drawn shapes in place of its two data sets: the table, the results file, the runs, the next command."""

import json
from pathlib import Path

import pytest

from coopt.artifacts import load_run
from coopt.cli import main
from coopt.cli.demo import DATA, DemoData, make_digits
from tests.pictures import shapes_folder


def test_the_table_the_files_and_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def make(folder: Path) -> None:
        if not folder.exists():
            shapes_folder(folder)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("coopt.cli.demo.DATA", [DemoData(n, n, make, "a drawing of a") for n in ("one", "two")])
    for options in (["1", "--seeds", "1"], ["1,2", "--seeds", "2"]):  # the second time the runs are replaced
        with pytest.raises(SystemExit) as stop:
            main(["demo", "--shots", *options])
        assert not stop.value.code
    out = capsys.readouterr().out
    results = json.loads(Path("demo/results.json").read_text())
    assert [(c["data"], c["shots"], c["seed"]) for c in results["learned"]] == [
        (data, shots, seed) for data in ("one", "two") for shots in (1, 2) for seed in (1, 2)
    ]
    one = [c["accuracy"] for c in results["learned"] if (c["data"], c["shots"]) == ("one", 2)]
    assert f"{sum(one) / 2:.1f}%" in out
    assert f"{results['hand_written']['one']:.1f}%" in out
    (command,) = {line.removeprefix("Next: coopt ") for line in out.splitlines() if line.startswith("Next: coopt ")}
    with pytest.raises(SystemExit) as stop:
        main([word.strip("'") for word in command.split()])
    assert not stop.value.code
    run = load_run("demo/runs/two")
    assert (run.config["shots"], run.config["seed"]) == (2, 2)
    assert len((run.folder / "metrics.jsonl").read_text().splitlines()) == 100


def test_its_data_sets_are_real_and_made_once(tmp_path: Path) -> None:
    assert [data.name for data in DATA] == ["icons", "digits"]
    make_digits(tmp_path / "digits")
    first = sorted(path.stat().st_mtime_ns for path in (tmp_path / "digits").rglob("*.png"))
    make_digits(tmp_path / "digits")
    assert sorted(path.stat().st_mtime_ns for path in (tmp_path / "digits").rglob("*.png")) == first
    assert len(first) == 1797
