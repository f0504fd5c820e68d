"""The pages of the offline benchmark: made from committed records, and of the checkpoint that is shipped."""

import json
import re
import sys
from pathlib import Path

import pytest

import coopt
from coopt.report import read_bench
from tests.report.records import fewshot_grid, record, write_folder
from tools import offline_benchmark
from tools.offline_benchmark import PARTS, keep_records, main, publish

DOCS = Path(__file__).parents[2] / "docs"
CHOSEN_ON = re.compile(r"stages .{0,40}chosen .{0,110}digits,.{0,5}Font Awesome.{0,10} and .{0,5}OpenMoji")
PRINT = re.compile(r"fingerprint\W+([0-9a-f]{8,32})\b")
FAILURE = {"run": "a-run", "reason": "out of memory", "protocol": "fewshot", "traceback": 'File "/home/someone/x.py"'}


@pytest.fixture(scope="module")
def shipped() -> str:
    return coopt.load_model("builtin").fingerprint


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder that runs write into, with a part in it: two protocols, a failed run."""
    lines = fewshot_grid(["icons", "digits"], ["coop", "linear-probe"], shots=(1, 2), seeds=2)
    pair = [record(50.0 + n, protocol="base-to-new", subset=subset) for n, subset in enumerate(("base", "new"))]
    write_folder(tmp_path / "bench" / "layouts", [*lines, *pair], [FAILURE])
    return tmp_path / "bench"


def command(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["offline_benchmark", *map(str, words)])
    main()


def test_every_table_is_made_again_from_the_committed_records(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the runs is not there then: it stays on the machine that ran them."""
    typed: list[tuple[str, ...]] = []
    monkeypatch.setattr(offline_benchmark, "run", lambda *words: typed.append(tuple(map(str, words))))
    places = ("--work", work, "--results", tmp_path / "results", "--data", tmp_path / "data")
    command(monkeypatch, "layouts", *places)
    assert [words[0] for words in typed] == ["datasets", "datasets", "bench"]
    first = files(tmp_path / "results")
    assert {"layouts/report.md", "layouts/figures/curves-builtin.svg", "layouts/records/runs/fewshot.jsonl"} < {*first}
    for path in work.rglob("*.jsonl"):
        path.unlink()
    (tmp_path / "results/layouts/report.md").write_text("another state")
    (tmp_path / "results/layouts/figures/old.svg").write_text("a figure that the records do not give")
    command(monkeypatch, "layouts", "--tables-only", *places)
    assert files(tmp_path / "results") == first
    assert len(typed) == 3


def test_the_committed_records_are_those_of_the_runs(work: Path, tmp_path: Path) -> None:
    keep_records(work / "layouts", tmp_path / "records")
    kept, measured = read_bench(tmp_path / "records"), read_bench(work / "layouts")
    assert kept.evaluations == measured.evaluations and len(kept.failures) == 1
    assert {*files(tmp_path / "records")} == {"runs/fewshot.jsonl", "runs/base-to-new.jsonl", "failed/a-run.json"}
    assert b"/home/someone" not in b"".join(files(tmp_path / "records").values())


def test_later_runs_replace_the_records_and_nothing_replaces_them_by_nothing(work: Path, tmp_path: Path) -> None:
    place = tmp_path / "results" / "layouts"
    keep_records(work / "layouts", place / "records")
    before = files(place)
    (tmp_path / "empty").mkdir()
    keep_records(tmp_path / "empty", place / "records")
    assert files(place) == before
    later = write_folder(tmp_path / "later", [record(44.44, fingerprint="f00dcafe")])
    (later / "grid.json").write_text(json.dumps({"format": 1, "version": coopt.__version__, "rows": []}))
    keep_records(later, place / "records")
    assert {*files(place)} == {"records/runs/fewshot.jsonl", "records/grid.json"}
    publish(place)
    text = (place / "report.md").read_text()
    assert CHOSEN_ON.search(text)
    assert "44.44" in text and PRINT.findall(text) == ["f00dcafe"]
    assert (
        text.startswith("Model `builtin`, fingerprint f00dcafe.\n") and "layouts --tables-only`" in text.splitlines()[1]
    )


def test_tables_of_a_part_without_records_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match=r"main: .*holds no benchmark records.*leave out --tables-only"):
        command(monkeypatch, "main", "--tables-only", "--results", tmp_path)


@pytest.mark.parametrize("page", ["results.md", "findings.md", *(f"results/{part}/report.md" for part in PARTS)])
def test_a_page_with_numbers_names_the_shipped_checkpoint(page: str, shipped: str) -> None:
    """A checkpoint that is trained again makes every such page old; the numbers are then made again with it."""
    named = PRINT.findall((DOCS / page).read_text(encoding="utf-8"))
    assert named and all(shipped.startswith(name) for name in named), f"{page} is of {named}; shipped is {shipped}"


@pytest.mark.parametrize("page", ["../README.md", "datasets.md", "results.md", "findings.md", "model-card.md"])
def test_a_page_with_numbers_says_what_the_model_was_chosen_on(page: str) -> None:
    text = " ".join((DOCS / page).read_text(encoding="utf-8").split())
    assert CHOSEN_ON.search(text)


def test_no_other_page_names_a_checkpoint_that_is_not_shipped(shipped: str) -> None:
    known = [DOCS / "results.md", DOCS / "findings.md", *DOCS.glob("results/*/report.md")]
    pages = [path for path in (*DOCS.rglob("*.md"), DOCS.parent / "README.md") if path not in known]
    found = {path.name: name for path in pages for name in PRINT.findall(path.read_text(encoding="utf-8"))}
    assert {name: value for name, value in found.items() if not shipped.startswith(value)} == {}


@pytest.mark.parametrize("part", PARTS)
def test_a_page_is_what_its_records_give(part: str, shipped: str, tmp_path: Path) -> None:
    records = DOCS / "results" / part / "records"
    assert {e.fingerprint for e in read_bench(records).evaluations if e.model == "builtin"} == {shipped}
    keep_records(records, tmp_path / part / "records")
    publish(tmp_path / part)
    assert (tmp_path / part / "report.md").read_text() == (DOCS / "results" / part / "report.md").read_text()
