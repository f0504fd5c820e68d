"""Classes from outside the package: what is named, where a module failed, and what a class must be."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from coopt.cli.main import app
from coopt.errors import ConfigError
from coopt.methods import METHODS, CoOp, Method, method_name
from coopt.outside import class_key, import_class
from coopt.tasks import find_task, make_task
from tests.seams.methods import Plain
from tests.seams.tasks import RealValued


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("outside_none:Mine", None, "'outside_none:Mine' cannot be imported: No module named 'outside_none'. Give"),
        ("outside_a:Mine", "", "'outside_a:Mine' cannot be imported: module 'outside_a' has no attribute 'Mine'"),
        ("outside_b:Mine", "class Mine: pass", "'outside_b:Mine' is no subclass of coopt's Method"),
        (
            "outside_c:M",
            "\nraise OSError('no disk')",
            r"failed while it was imported: OSError: no disk \(.*c.py, line 2",
        ),
        ("outside_d:M", "\n\ndef (:", r"failed while it was imported: SyntaxError: .*outside_d.py, line 3\)"),
        ("outside_e:M", "import nowhere_at_all", r"failed .*ModuleNotFoundError.*nowhere_at_all.*e.py, line 1\)"),
        ("outside_f:", "", "'outside_f:' names no class"),
        (":Mine", None, "':Mine' names no class"),
    ],
)
def test_what_cannot_be_imported(
    name: str, text: str | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    if text is not None:
        (tmp_path / f"{name.split(':')[0]}.py").write_text(text)
    with pytest.raises(ConfigError, match=message):
        import_class(name, Method)


def test_classes_and_names_are_both_taken() -> None:
    assert method_name(CoOp) == "coop" and method_name("coop") == "coop"
    assert method_name(Plain) == "tests.seams.methods:Plain"
    assert find_task(RealValued) is find_task("tests.seams.tasks:RealValued") is RealValued
    with pytest.raises(ConfigError, match="3 is no Method; give a name"):
        class_key(3, METHODS, Method)
    with pytest.raises(ConfigError, match="no task 'clasification'.*Did you mean 'classification'"):
        find_task("clasification")


def test_a_task_without_groups_is_not_for_several_data_sets() -> None:
    with pytest.raises(ConfigError, match=r"no setting 'grouped' \(it is what several data sets at once need\)"):
        make_task(RealValued, ["1", "2"], settings={"grouped": True})
    assert make_task("classification", ["a/x", "b/x"], settings={"grouped": True}).settings == {"grouped": True}


def test_a_method_of_ones_own_is_described() -> None:
    shown = CliRunner().invoke(app, ["methods", "tests.seams.methods:Plain"])
    assert shown.exit_code == 0, shown.exception
    assert "Learned class features" in shown.output
    assert "tests.seams.methods:Plain" not in METHODS
