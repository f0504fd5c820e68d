"""Whatever stands in the records reaches the reader as it is, in every kind of markup, and does nothing else."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest

from coopt.report import build_report
from coopt.report.html import to_html
from coopt.report.markup import csv_value, file_names, latex_text, markdown_text, to_csv, to_latex, to_markdown
from coopt.report.tables import Entry, Table
from tests.report.golden import ODD
from tests.report.records import bench_of, record

HOSTILE = "<script>alert('1')</script> & \"x\" | a_b *c* `d` [e](http://f) 50% $g$ #h ~i ^j {k} \\l\nm"
ONE_LINE = HOSTILE.replace("\n", " ")
TABLE = Table(
    "key", HOSTILE, (HOSTILE,), ("Method", "Accuracy"), ((Entry(HOSTILE, number=False), Entry("1.0", "n=2 [0, 2]")),)
)


class Page(HTMLParser):
    """Tags with their attributes, and the texts of table cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open or "th" in self.open:
            self.cells[-1] += data


def report_page() -> str:
    lines = [record(50.0, variant=HOSTILE, method="coop", seed=s) for s in (1, 2)]
    lines.append(record(45.0, method="zero-shot", shots=None))
    lines.append(record(55.0, variant="best", seed=1))
    lines.append(record(56.0, variant="best", seed=2))
    failure = {"run": HOSTILE, "reason": HOSTILE, "protocol": "fewshot"}
    report = build_report(bench_of(lines, [failure]), against=True)
    return to_html(HOSTILE, report.facts, (*report.results, *report.details))


def test_html_shows_names_as_they_are_and_loads_nothing() -> None:
    text = report_page()
    page = Page(text)
    assert page.open == []
    assert ONE_LINE in page.cells
    best = [attributes for tag, attributes in page.tags if tag == "td" and attributes["class"] == "number best"]
    assert len(best) == 1
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "b"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href"):
                assert (value or "").startswith(("data:image/svg+xml;base64,", "#")), (tag, value)
    assert "url(" not in text
    assert "@import" not in text
    policy = dict(page.tags)["meta"]
    assert any("default-src 'none'" in (a.get("content") or "") for t, a in page.tags if t == "meta"), policy
    anchors = {a["id"] for _, a in page.tags if "id" in a}
    assert {a["href"] for t, a in page.tags if t == "a"} == {f"#{name}" for name in anchors}


def test_html_is_for_phones_and_dark_rooms() -> None:
    text = report_page()
    page = Page(text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.S)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags
    assert "color-scheme: light dark" in style
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    colours = re.findall(r"(--\w+): #", light)
    assert colours
    assert re.findall(r"(--\w+): #", dark) == colours
    boxes = [attributes.get("class") for tag, attributes in page.tags if tag == "div"]
    tables = [tag for tag, _ in page.tags if tag == "table"]
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert boxes.count("box") == len(tables)
    assert boxes.count("box card") == len(pictures) == 2
    assert all(picture["alt"] for picture in pictures)
    assert "overflow-x: auto" in re.findall(r"\.box \{(.*?)\}", style, flags=re.S)[0]


def test_markdown() -> None:
    text = to_markdown(TABLE)
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3
    assert "<script>" not in text
    assert markdown_text(ODD) == r"coop\_&lt;b&gt;&amp;\|50%"
    assert markdown_text(r"a\b `c` [d](e) $f$ ~g *h*") == r"a\\b \`c\` \[d\](e) \$f\$ \~g \*h\*"


def test_latex() -> None:
    assert latex_text(ODD) == r"coop\_\textless{}b\textgreater{}\&\textbar{}50\%"
    assert latex_text("a\\b {c} $d$ #e ^f ~g −1 ± 2 –") == (
        r"a\textbackslash{}b \{c\} \$d\$ \#e \textasciicircum{}f \textasciitilde{}g $-$1 $\pm$ 2 --"
    )
    for line in to_latex(TABLE).splitlines():
        if line.endswith(r"\\"):
            assert len(re.findall(r"(?<!\\)&", line)) == 1


def test_csv() -> None:
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))
    assert rows == [["Method", "Accuracy"], [ONE_LINE, "1.0 n=2 [0, 2]"]]
    assert [csv_value(v) for v in (None, 3, 2.5, -1.25)] == ["", "3", "2.500000", "-1.250000"]


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_csv_text_is_no_formula(formula: str) -> None:
    assert csv_value(formula) == f"'{formula}"


def test_file_names_are_plain_and_distinct() -> None:
    keys = ["a b", "openai/clip", "../../etc", "a|b", "ä", "Clip x", "clip x", "n" * 300]
    names = file_names(keys)
    assert len({name.lower() for name in names.values()}) == len(keys)
    assert names["openai/clip"] == "openai-clip"
    assert all(re.fullmatch(r"[A-Za-z0-9._=-]*", name) and not name.startswith(".") for name in names.values())
    assert max(map(len, names.values())) <= 100
