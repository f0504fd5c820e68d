"""`coopt fit --truncate-names`: names that are too long are an error that names the flag, or are cut."""

import json
from pathlib import Path

import pytest

from coopt.artifacts import load_run
from coopt.cli import main
from tests.pictures import shapes_folder

LONG = " ".join(["very"] * 90 + ["round"])


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"circle": LONG, "square": "square", "triangle": "triangle"}))
    data = str(shapes_folder(tmp_path / "shapes"))
    return ["fit", data, "--class-names", str(names), "--shots", "1", "--out", str(tmp_path / "run")]


def call(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return int(stop.value.code or 0)


def test_without_the_flag_the_error_names_it(command: list[str], capsys: pytest.CaptureFixture) -> None:
    assert call(*command, "--epochs", "1") == 3
    message = " ".join(capsys.readouterr().err.split())
    assert "91 tokens" in message and "--truncate-names" in message


def test_with_the_flag_the_run_learns_and_remembers_it(command: list[str], tmp_path: Path) -> None:
    assert call(*command, "--epochs", "1", "--truncate-names", "--set", "n_ctx=2") == 0
    assert load_run(tmp_path / "run").config["settings"]["truncate_names"] is True


def test_hand_written_prompts_are_cut_too(command: list[str], capsys: pytest.CaptureFixture) -> None:
    assert call(*command, "--method", "zero-shot") == 3
    assert "--truncate-names" in " ".join(capsys.readouterr().err.split())
    assert call(*command, "--method", "zero-shot", "--truncate-names") == 0


def test_a_method_without_prompts_refuses_it(command: list[str], capsys: pytest.CaptureFixture) -> None:
    assert call(*command, "--truncate-names", "--method", "linear-probe") == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "--truncate-names" in message and "linear-probe" in message
