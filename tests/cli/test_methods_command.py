"""`coopt methods` and `coopt methods NAME`: what stands there is what the methods say of themselves."""

import json

import pytest

from coopt.cli.main import main
from coopt.methods import METHODS, Method
from coopt.methods.docstring import describe, type_name


def call(capsys: pytest.CaptureFixture, *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["methods", *arguments])
    assert ended.value.code in (code, None if code == 0 else code)
    out, err = capsys.readouterr()
    return err if code else out


def test_the_table_has_a_row_for_every_method(capsys: pytest.CaptureFixture) -> None:
    out = call(capsys)
    rows = [line.split("│") for line in out.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows if row[1].strip()] == list(METHODS)
    tip = next(row for row in rows if row[1].strip() == "tip-adapter")
    assert (tip[2].strip(), tip[4].strip(), tip[5].strip()) == ("cache of features", "features", "no")
    assert "coopt methods NAME" in out


@pytest.mark.parametrize("key", METHODS)
def test_one_method_in_full(key: str, capsys: pytest.CaptureFixture) -> None:
    out = call(capsys, key)
    method = METHODS[key]
    for part in (method.__name__, method.paper, method.kind, "Reference", "Errors", *method.setting_parameters()):
        assert part in out
    assert "``" not in out and ".. math" not in out and ":math:" not in out
    if method.presets:
        assert all(name in out for name in method.presets)
    row = json.loads(call(capsys, key, "--json"))
    assert row["name"] == key and row["kind"] == method.kind
    assert set(row["settings"]) == set(method.setting_parameters())


def test_the_recipe_is_that_of_methods_that_take_steps(capsys: pytest.CaptureFixture) -> None:
    for key in METHODS:
        out = call(capsys, key)
        assert ("CoOp's" in out.partition("\nRecipe\n")[2].partition("\n\n")[0]) == METHODS[key].steps
    assert "\nRecipe\nNo gradient steps, so no recipe.\n" in call(capsys, "linear-probe")


def test_an_unknown_method(capsys: pytest.CaptureFixture) -> None:
    assert "no method 'tip_adapter'" in call(capsys, "tip_adapter", code=2)


@pytest.mark.parametrize("key", METHODS)
def test_every_setting_is_explained(key: str) -> None:
    told = describe(METHODS[key])
    assert [s.name for s in told.settings] == list(METHODS[key].setting_parameters())
    assert all(s.meaning and s.type for s in told.settings)
    explained = set(told.meanings) - {"vlm", "class_names"}
    assert explained == {s.name for s in told.settings}  # nothing is explained that is not there
    assert METHODS[key].kind


def test_a_docstring_comes_apart() -> None:
    class Told(Method):
        """First.

        One.

        More.

        Shape:
            - a: (B,)
              of it
            - b: (C,)

        Args:
            a, b: two
                lines: of it
            c: x

        Raises:
            E: when.
        """

    told = describe(Told)
    assert (told.summary, told.text) == ("First.", "One.\n\nMore.")
    assert told.sections == {"Shape": "- a: (B,)\n  of it\n- b: (C,)"}
    assert told.meanings == {"a": "two lines: of it", "b": "two lines: of it", "c": "x"}
    assert told.errors == {"E": "when."}
    assert type_name(list[str] | int | None) == "list[str] | int | None"
