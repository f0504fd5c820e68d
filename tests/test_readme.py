"""Every command of the README runs as written (on drawn shapes, with fewer epochs), and every path that it names exists."""

import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from coopt.cli import main
from tests.pictures import shapes_folder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)


def commands() -> list[list[str]]:
    """The shell commands, without comments."""
    lines = "\n".join(blocks("sh")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_every_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shapes_folder(tmp_path / "photos")
    shapes_folder(tmp_path / "new_images_made").joinpath("test").rename(tmp_path / "new_images")
    shapes_folder(tmp_path / "work" / "textiles")  # in place of the download of tools/textiles.py
    makefile = (ROOT / "Makefile").read_text()
    ran = 0
    for command in commands():
        if command[0] == "make":
            assert re.search(rf"^{command[1]}:", makefile, flags=re.M)
        elif command[0] == "python":
            assert (ROOT / command[1]).is_file()
            if command[1] == "tools/digits.py":
                monkeypatch.setattr(sys, "argv", command[1:])
                from tools.digits import main as write

                write()
        else:
            assert command[0] == "coopt"
            quick = ["--epochs", "1"] if command[1] == "fit" else []
            with pytest.raises(SystemExit) as stop:
                main([*command[1:], *quick])
            assert stop.value.code in (0, None), command
            ran += 1
    assert ran == 6
    assert sorted(os.listdir("runs")) == ["digits", "photos", "textiles"]


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files = sorted(shapes_folder(tmp_path / "photos", n_train=8).joinpath("train").rglob("*.png"))
    (example,) = blocks("python")
    names = {"paths": files, "labels": [file.parent.name for file in files], "new_paths": files[:3]}
    exec(example, names)
    assert names["classifier"].predict_proba(files[:3]).shape == (3, 3)  # type: ignore[attr-defined]
    assert (tmp_path / "runs" / "python" / "adapter_config.json").is_file()


def test_every_path_that_it_names_exists() -> None:
    named = re.findall(r"`((?:tests|src|tools|docs)/[\w./]+)`", README) + re.findall(r"\]\(([\w./-]+)\)", README)
    assert len(named) > 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_function_that_it_names_exists() -> None:
    import importlib

    for name in set(re.findall(r"`coopt\.([\w.]+)`", README)):
        module, _, attribute = f"coopt.{name}".rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name
