"""`coopt report`: the files it writes, what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

from coopt.cli import main
from tests.report.golden import golden_failures, golden_lines
from tests.report.records import record, write_folder


def run(*arguments: str) -> int | None:
    with pytest.raises(SystemExit) as stop:
        main(["report", *arguments])
    return stop.value.code  # type: ignore[return-value]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "bench", golden_lines(), golden_failures())


def test_the_page_and_the_tables(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(str(folder), "--against", "published") in (0, None)
    out = capsys.readouterr().out
    assert "1 failed runs" in out
    assert "2 cells of the accuracy tables are missing" in out  # the failed run, and the average with it
    report = folder / "report"
    assert str(report / "report.html") in out.replace("\n", "")
    page = (report / "report.html").read_text()
    assert page.count("<img ") == 2
    for words in ("Failed runs", "Time and memory per run", "Settings of each row", "cross-validation", "none"):
        assert words in page or words == "cross-validation"
    for name in ("fewshot-accuracy-builtin", "base-to-new-published-ViT-B-16", "shift-differences-builtin-icons"):
        assert {path.suffix for path in (report / "tables").glob(f"{name}.*")} == {".md", ".tex", ".csv"}
    assert sorted(path.name for path in (report / "figures").iterdir()) == ["curves-builtin.svg", "gains-builtin.svg"]


def test_json(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(str(folder), "--json", "--no-figures", "--out", str(tmp_path / "out"), "--baseline", "coop") in (0, None)
    result = json.loads(capsys.readouterr().out)
    assert (result["n_evaluations"], result["n_failed"], result["n_missing"]) == (len(golden_lines()), 1, 2)
    assert all(Path(name).is_file() for name in result["files"])
    assert result["report"] == result["files"][0] == str(tmp_path / "out" / "report.html")
    tables = {table["name"]: table for table in result["tables"]}
    accuracy = tables["fewshot accuracy builtin"]
    cells = [dict(zip(accuracy["columns"], row, strict=True)) for row in accuracy["rows"]]
    (cell,) = [c for c in cells if (c["variant"], c["shots"], c["dataset"]) == ("coop", 2, "icons")]
    assert (cell["mean"], cell["n"]) == (52.0, 3)
    assert tables["fewshot differences builtin"]["title"] == "Paired differences to coop, fewshot: builtin"


def test_mistakes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(str(folder), "--baseline", "cop") == 2
    assert "--baseline is 'cop'" in capsys.readouterr().err
    assert run(str(tmp_path / "nowhere")) == 5
    assert "holds no benchmark records" in capsys.readouterr().err
    assert run(str(folder), "--against", "rumours") == 2


def test_files_of_an_earlier_report_go_and_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name, model in (("one", "builtin"), ("two", "ViT-B/16")):
        folder = write_folder(tmp_path / name, [record(model=model)])
        assert run(str(folder), "--out", str(out), "--no-figures") in (0, None)
        (out / "tables" / "mine.csv").write_text("1")
    names = {path.name for path in (out / "tables").iterdir()}
    assert "fewshot-accuracy-builtin.csv" not in names
    assert {"fewshot-accuracy-ViT-B-16.csv", "mine.csv", "settings.md"} <= names


def test_a_list_of_files_cannot_make_it_remove_others(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "tables").mkdir(parents=True)
    precious = [tmp_path / "precious.csv", out / "tables" / "precious.txt", out / "precious.md"]
    for path in precious:
        path.write_text("1")
    names = ["../precious.csv", str(precious[0]), "tables/../../precious.csv", "tables/precious.txt", "precious.md", 3]
    (out / "files.json").write_text(json.dumps(names))
    assert run(str(folder), "--out", str(out), "--no-figures") in (0, None)
    assert all(path.is_file() for path in precious)
