"""Whatever stands in the records reaches the reader as it is, in every kind of markup, and does nothing else."""

import csv
import io
import re
from html.parser import HTMLParser

import pytest
from markupsafe import escape

from coopt.report import build_report
from coopt.report.html import drop_constant, to_html
from coopt.report.markup import csv_value, file_names, latex_text, markdown_text, to_csv, to_latex, to_markdown
from coopt.report.tables import Entry, Table
from coopt.report.write import result_pages
from tests.report.golden import ODD
from tests.report.records import bench_of, fewshot_grid, record

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
        if tag not in ("meta", "img", "source"):
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
    return to_html(HOSTILE, report.facts, report.notes, (*report.results, *report.details))


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
            if name in ("src", "srcset", "href"):
                assert (value or "").startswith(("data:image/svg+xml;base64,", "#")), (tag, value)
    assert "url(" not in text
    assert "@import" not in text
    policy = dict(page.tags)["meta"]
    assert any("default-src 'none'" in (a.get("content") or "") for t, a in page.tags if t == "meta"), policy
    anchors = {a["id"] for _, a in page.tags if "id" in a} - {"section-1"}  # the summary stands above the list
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
    assert all(picture["alt"] for picture in pictures) and len(pictures) == 2
    narrow = [attributes for tag, attributes in page.tags if tag == "source"]
    assert [(a["media"], a["srcset"] in text) for a in narrow] == [("(max-width: 45rem)", True)] * 2
    assert not {a["srcset"] for a in narrow} & {a["src"] for a in pictures}
    box = re.findall(r"\.box \{(.*?)\}", style, flags=re.S)[0]
    assert "overflow-x: auto" in box and "background-attachment: local, local, scroll, scroll" in box
    assert "max-height" not in style  # nothing is cut below a height
    assert re.search(r"td:first-child \{ position: sticky; left: 0", style)


def test_the_summary_comes_first() -> None:
    lines = fewshot_grid(["icons", "digits"], ["coop", "linear-probe"], shots=(1, 4), seeds=3)
    lines = [{**line, "date": f"2026-01-{10 + line['seed']}"} for line in lines]
    gone = [x for x in lines if (x["source"], x["variant"], x["shots"], x["seed"]) == ("icons", "coop", 1, 2)]
    report = build_report(bench_of([x for x in lines if x not in gone]), figures=False)
    assert report.facts["Missing"] == "2 of 15 cells of the accuracy tables."
    assert report.facts["Model"] == "builtin (fingerprint f00d)"
    assert report.facts["Measured"] == "2026-01-11 to 2026-01-13"
    assert report.facts["Versions"] == "coopt 0.1.0"
    (table,) = report.results[0].tables
    (row,) = ([entry.text for entry in line] for line in table.rows)
    facts = dict(zip(table.columns, row, strict=True))
    means = {line[0].text: line[-1].text for line in report.results[1].tables[0].rows if line[1].text == "4"}
    assert facts["Best line"] == "linear-probe" and facts["Accuracy"] == means["linear-probe"]
    assert table.rows[0][2].detail.startswith("n=3 [") and facts["Missing cells"] == "2 of 15"
    assert facts["Beside hand-written"].startswith("+") and facts["Measure"] == "Accuracy, Average"
    page = to_html("t", report.facts, report.notes, report.results)
    assert (
        page.index("2026-01-11") < page.index("The best line of every grid") < page.index('<nav aria-label="Contents"')
    )


def test_the_best_line_is_one_of_those_with_the_most_shots() -> None:
    """A grid in which no line is complete has none; where lower is better it is the lowest."""

    def best(lines: list[dict]) -> str:
        return build_report(bench_of(lines), figures=False).results[0].tables[0].rows[0][1].text

    assert best([record(90.0, variant="x", shots=1), record(60.0, variant="y"), record(50.0, variant="z")]) == "y"
    assert best([record(60.0), record(70.0, method="zero-shot", shots=None)]) == "zero-shot"
    assert best([record(60.0, source="a"), record(70.0, source="b", seed=2)]) == "–"
    head = {"name": "mae", "title": "error", "unit": "", "higher_is_better": False}
    errors = {"x": 4.0, "y": 3.0}
    assert best([record(variant=v, task="o", headline=head, metrics={"mae": e}) for v, e in errors.items()]) == "y"


def test_a_note_stands_once() -> None:
    lines = [*fewshot_grid(["a", "b"], ["coop"], shots=(1,)), record(50.0, protocol="shift", seed=1)]
    report = build_report(bench_of(lines), figures=False)
    tables = [table for section in report.results for table in section.tables]
    assert max(sum(note in table.notes for table in tables) for note in tables[1].notes) > 1
    everything = (*report.results, *report.details)
    page, text = to_html("t", report.facts, report.notes, everything), result_pages(report)
    for note in {note for table in tables for note in table.notes}:
        assert text.count(markdown_text(note)) == 1, note
        assert page.count(str(escape(note))) == 1, note


def test_columns_that_say_the_same_in_every_line_are_said_once() -> None:
    def row(method: str, shots: str, chosen: str, number: str) -> tuple[Entry, ...]:
        return Entry(method, number=False), Entry(shots), Entry(chosen, number=False), Entry(number)

    def dropped(*rows: tuple[Entry, ...]) -> tuple[tuple[str, ...], str]:
        table, said = drop_constant(Table("k", "t", (), ("Method", "Shots", "Selection", "icons"), rows))
        assert all(len(line) == len(table.columns) for line in table.rows)
        return table.columns, said

    x, y = row("x", "16", "none", "50"), row("y", "16", "none", "50")
    assert dropped(x, y) == (("Method", "icons"), "shots 16, selection none")  # a measured column stays
    assert dropped(x, row("y", "8", "none", "1")) == (("Method", "Shots", "icons"), "selection none")
    assert dropped(x, x) == (("Method", "icons"), "shots 16, selection none")  # the name of the line stays
    assert dropped(x)[0] == ("Method", "icons")
    failure = Table("k", "t", (), ("Protocol", "Reason"), ((Entry("a", number=False), Entry("b", number=False)),))
    assert drop_constant(failure) == (failure, "")
    settings = Table("k", "t", (), ("Protocol", "Model"), ((Entry("a", number=False), Entry("b", number=False)),) * 2)
    assert drop_constant(settings)[0].columns == ("Protocol",)


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
