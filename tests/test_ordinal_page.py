"""Every command of docs/ordinal.md runs as written, on small sets; its example of an answer has the form of a real one."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from coopt.bench import choice
from coopt.cli import main
from coopt.datasets import BENCHMARKS
from coopt.datasets.makers import quantities

PAGE = (Path(__file__).parents[1] / "docs" / "ordinal.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^    (coopt .*)$", PAGE, flags=re.M)
SMALL_BENCH = ["--shots", "1", "--seeds", "1", "--workers", "0", "--out", "bench-ordinal"]


def small(command: list[str]) -> list[str]:
    """A command of the page with less to do."""
    if command[:2] == ["bench", "ordinal"]:
        of_morph = "morph" in command
        return [*command, *(["--set", "epochs=1", "--set", "views=0"] if of_morph else ["--methods", "zero-shot,ridge"]),
                *SMALL_BENCH[:-1], "bench-morph" if of_morph else "bench-ordinal"]  # fmt: skip
    return [*command, "--no-figures"] if command[0] == "report" else command


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quantities, "N_TRAIN", 8)
    monkeypatch.setattr(quantities, "N_TEST", 2)
    monkeypatch.setitem(BENCHMARKS, "dots", replace(BENCHMARKS["dots"], n_train=80, n_test=20))
    for module in ("coopt.bench.choice", "coopt.datasets.fetch"):
        suites = __import__(module, fromlist=["SUITES"]).SUITES
        monkeypatch.setitem(suites, "ordinal-offline", ["dots"])
    assert choice.SUITES["ordinal-offline"] == ["dots"]
    lists = tmp_path / "data" / "MORPH" / "data_list"
    lists.mkdir(parents=True)
    for name, ages in (("train", (7, 34, 34)), ("val", (16, 50))):
        lines = []
        for number, age in enumerate(ages):
            Image.new("RGB", (20, 20), (age, 3 * number, 9)).save(tmp_path / "data" / "MORPH" / f"{name}{number}.png")
            lines.append(f"{name}{number}.png {age}")
        (lists / f"ET_proto_{name}.txt").write_text("\n".join(lines) + "\n")
    assert len(COMMANDS) == 11
    shown = ""
    for text in COMMANDS:
        command = shlex.split(text, comments=True)[1:]
        with pytest.raises(SystemExit) as stop:
            main(small(command))
        assert stop.value.code in (0, None), text
        shown += capsys.readouterr().out
    assert re.search(r"\d\.\d\d \(\d+ to \d+\), \d+ \d+\.\d%", shown)
    assert "Mean absolute error" in shown
    report = (tmp_path / "bench-ordinal" / "report" / "report.md").read_text()
    assert "Ordered labels: mean absolute error" in report
