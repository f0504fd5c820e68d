"""The pages of the methods: one each, up to date, with formulas that GitHub does not take apart."""

import json
from pathlib import Path

import pytest

from coopt.methods import METHODS
from tools import method_pages
from tools.markdown import markdown, table, tex

DOCS = method_pages.ROOT / "docs"


def test_every_method_has_a_page_that_is_up_to_date(capsys: pytest.CaptureFixture) -> None:
    assert method_pages.main(["--check"]) == 0, capsys.readouterr().err
    assert {path.stem for path in (DOCS / "methods").glob("*.md")} == set(METHODS)


@pytest.mark.parametrize("key", METHODS)
def test_a_page_says_what_the_method_says(key: str) -> None:
    method, text = METHODS[key], (DOCS / "methods" / f"{key}.md").read_text(encoding="utf-8")
    assert f"coopt fit photos/ --method {key}" in text
    for heading in ("Settings", "Recipe", "Presets", "Differences from the official code", "Shapes", "Errors"):
        assert f"\n## {heading}\n" in text
    for name, parameter in method.setting_parameters().items():
        assert f"| `{name}` |" in text and f"`{parameter.default!r}`" in text
    for name, preset in method.presets.items():
        assert f"| `{name}` |" in text and preset.source.split(",")[0] in text
    assert text.count("$$") >= 2 and text.count("$$") % 2 == 0
    assert "``" not in text and ".. math" not in text and ":math:" not in text
    assert method.paper in text


def test_the_table_has_a_measured_row_for_every_method() -> None:
    text = (DOCS / "methods.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| [")]
    assert [row[0] for row in rows] == [f"| [{key}](methods/{key}.md)" for key in METHODS]
    assert "missing" not in text
    cells = {row[0].split("]")[0][3:]: row[3:] for row in rows}
    assert cells["coop"][1:5] == ["features", "yes", "yes", "no"]
    assert cells["tip-adapter"][1:5] == ["features, 10 views", "no", "no", "yes"]
    # 16 context vectors of the width of each text tower.
    assert cells["coop"][0] == "3,072 / 8,192"
    records = json.loads(method_pages.RESULTS.read_text())["records"]
    ratio = next(r["step"]["ratio"] for r in records if (r["model"], r["method"]) == ("ViT-B/16", "tip-adapter-f"))
    assert cells["tip-adapter-f"][5].endswith(f" / {ratio:.2g}x") and cells["tip-adapter"][5] == "none"


def test_missing_changed_and_left_over_pages_are_found(tmp_path: Path) -> None:
    pages = {"methods.md": "a", "methods/x.md": "b", "methods/y.md": "c"}
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods.md").write_text("a")
    (tmp_path / "methods" / "x.md").write_text("old")
    (tmp_path / "methods" / "gone.md").write_text("")
    assert method_pages.stale(tmp_path, pages) == ["methods/x.md", "methods/y.md", "methods/gone.md"]


def test_formulas_keep_no_backslash_that_markdown_takes() -> None:
    text = "Of :math:`\\{x\\,\\}` and ``code``:\n\n.. math::\n    a \\; b \\\\\n    c \\_\n\nbehind"
    assert markdown(text) == (
        "Of $\\lbrace x\\thinspace \\rbrace $ and `code`:\n\n$$\na \\thickspace  b \\cr \nc \\text{-}\n$$\n\nbehind"
    )
    with pytest.raises(ValueError, match=r"has '\\\\%', which Markdown would spoil"):
        tex(r"5\%")


def test_a_cell_is_one_cell() -> None:
    assert table(["a", "b"], [["x | y", "1\n2"]]) == "| a | b |\n| --- | --- |\n| x \\| y | 1 2 |"
