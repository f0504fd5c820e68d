"""Messages below the commands name the parameter in Python, and the option where a command runs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coopt.artifacts import check_target
from coopt.cli import main
from coopt.errors import RunError
from coopt.messages import command_line, option

SOURCE = Path(__file__).parents[1] / "src" / "coopt"
COMMANDS = {"cli", "bench", "report", "errors.py"}
"""Rooms that only commands reach; `Interrupted.remedy` is said by them."""
OTHER_PROGRAMS = {"datasets/makers/packages.py"}
FLAG = re.compile(r"(^|[\s('\"`])--[a-z]")


def flags(path: Path) -> Iterator[str]:
    """Texts with an option in them that are neither documentation nor an argument of `option`."""
    tree = ast.parse(path.read_text())
    inside = {id(n) for call in ast.walk(tree) if is_option(call) for n in ast.walk(call)}
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and FLAG.search(node.value)
        if is_text and id(node) not in inside | documents:
            yield node.value


def is_option(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "option"


def test_no_message_names_an_option_by_itself() -> None:
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name.split("/")[0] in COMMANDS or name in OTHER_PROGRAMS:
            continue
        # A whole command may be typed beside Python; `--set` is what `parse_settings` reads.
        texts = [text for text in flags(path) if not re.search("`coopt |--root|--set", text)]
        if texts:
            found[name] = texts
    assert not found


def test_one_message_has_two_names(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    assert option("--out", "folder") == "folder"
    with command_line():
        assert option("--out", "folder") == "--out"
    with pytest.raises(RunError, match="holds no run; choose another folder"):
        check_target(tmp_path / "taken", False)
    with pytest.raises(SystemExit):
        main(["fit", str(tmp_path), "--out", str(tmp_path / "taken")])
    assert "holds no run; choose another --out" in capsys.readouterr().err
    with pytest.raises(RunError, match="choose another folder"):  # a command leaves nothing
        check_target(tmp_path / "taken", False)
