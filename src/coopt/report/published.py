"""Our numbers beside published ones: only where backbone, data, setting and recipe are the same."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coopt.datasets import BENCHMARKS
from coopt.evaluate.record import ACCURACY, Record
from coopt.fit.recipe import paper_epochs
from coopt.prompting.templates import TEMPLATES
from coopt.report.grid import SUBSETS_OF, Grid, Row
from coopt.report.order import PUBLISHED, find_backbone, plain_name
from coopt.report.results import columns_of
from coopt.report.tables import AVERAGE, MEASURES, MISSING, Column, Entry, Table, fixed, start

NOTE = (
    "Published numbers are set beside ours only where backbone, data set, shots, every setting of the method and, for "
    "methods that learn, the whole recipe are those of the source; otherwise the line says what differs or that "
    "nothing is published. Difference: ours − published; the published numbers are means over seeds with a spread of "
    "their own."
)
NAMED = ("views",)
"""Parts of the recipe that a line names where ours differ, but that do not forbid the comparison."""
LATER = {"warmup": "constant"}
"""Parts of the recipe that earlier records do not have, and what their runs did."""
NOT_RECORDED = object()
TEMPLATE_NAMES = {plain_name(name): templates for name, templates in TEMPLATES.items()}


@dataclass(frozen=True)
class Published:
    """Numbers that share a source and a setting."""

    name: str
    protocols: tuple[str, ...]
    method: str
    backbone: str
    settings: Mapping[str, Any] | None
    """What the method's settings must be, every one; None asks for the method without settings of the user's."""
    recipe: Mapping[str, Any]
    """What the recipe must be, in all that a result depends on; epochs "by shots" are those of the CoOp paper."""
    selection: str | None
    source: str
    certainty: str
    values: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Data set -> measure -> shots -> percent."""

    def value(self, dataset: str, measure: str, shots: int | None) -> float | None:
        """The number of a cell, or None."""
        by_name = {plain_name(name): measures for name, measures in self.values.items()}
        return by_name.get(plain_name(dataset), {}).get(measure, {}).get(str(shots or 0))


FACTS = {plain_name(name): facts for name, facts in PUBLISHED["datasets"].items()}
"""Numbers of classes and of test images of the papers' data sets, in the order of their tables."""
GROUPS = tuple(
    Published(**{**group, "protocols": tuple(group["protocols"]), "recipe": PUBLISHED["recipes"][group["recipe"]]})
    for group in PUBLISHED["groups"]
)


def published_table(grid: Grid) -> Table | str:
    """Ours, published and the difference, a line per cell of the accuracy table.

    Where nothing is comparable it is the reasons instead, as the end of a sentence.
    """
    columns = [column for _, group in columns_of(grid) for column in group]
    sources: list[str] = []
    lines: list[tuple[Entry, ...]] = []
    flat: list[tuple[Any, ...]] = []
    breaks: list[int] = []
    nothing: dict[str, list[str]] = {}
    for row in grid.rows:
        breaks.append(len(lines))
        found: list[tuple[Column | None, Published | None, str]]
        found = [(column, *_find(grid, row, column)) for column in columns]
        if all(group is None for _, group, _ in found):
            reasons = list(dict.fromkeys(reason for _, _, reason in found))
            found = [(None, None, "; ".join(reasons))]  # one line says it for the whole row
            nothing.setdefault(found[0][2], []).append(row.variant)
        for column, group, reason in found:
            line, facts = _line(grid, row, column, group, reason, sources)
            lines.append(line)
            flat += [facts] if facts else []
    if not flat:
        whose = {reason: ", ".join(dict.fromkeys(variants)) for reason, variants in nothing.items()}
        return "; ".join(reason if len(whose) == 1 else f"{names}: {reason}" for reason, names in whose.items())
    listed = tuple(f"[{number}] {source}" for number, source in enumerate(sources, start=1))
    headings = ("Method", "Shots", "Data set", "Measure", "Ours", "Published", "Difference", "Published as")
    names = ("protocol", "model", "source", "variant", "shots", "dataset", "measure")
    flat_columns = (*names, "ours", "published", "difference", "published_as", "published_in", "remark")
    title = f"Beside published numbers, {grid.protocol.name}: {grid.title}"
    rows = (tuple(lines), tuple(breaks[1:]), flat_columns, tuple(flat))
    return Table(grid.key("published"), title, (NOTE,), headings, *rows, own_notes=listed)


def _line(
    grid: Grid, row: Row, column: Column | None, group: Published | None, reason: str, sources: list[str]
) -> tuple[tuple[Entry, ...], tuple[Any, ...] | None]:
    """A line of the table, and of the CSV where a number is compared."""
    nothing = (MISSING, MISSING, f"nothing comparable: {reason}")
    if column is None:
        return _entries(row, "all", MISSING, MISSING, *nothing), None
    ours = grid.summary(row, column.datasets, column.measure).mean
    dataset = AVERAGE if column.dataset == "average" else column.dataset
    measure = MEASURES.get(column.measure, start(grid.headline.title))
    shown = MISSING if ours is None else fixed(ours)
    if group is None:
        return _entries(row, dataset, measure, shown, *nothing), None
    value = group.value(column.dataset, column.measure, row.shots)
    assert value is not None  # `_find` gives no group without one
    difference = None if ours is None else ours - value
    if group.source not in sources:
        sources.append(group.source)
    name = f"{group.name} [{sources.index(group.source) + 1}]" + (f"; {reason}" if reason else "")
    shown_difference = MISSING if difference is None else fixed(difference, sign=True)
    names = (grid.protocol.name, grid.model, grid.source, row.variant, row.shots or 0, column.dataset, column.measure)
    flat = (*names, ours, value, difference, group.name, group.source, reason)
    return _entries(row, dataset, measure, shown, fixed(value), shown_difference, name), flat


def _entries(row: Row, *texts: str) -> tuple[Entry, ...]:
    cells = (Entry(text, number=2 <= place <= 4) for place, text in enumerate(texts))
    return (Entry(row.variant, number=False), Entry(str(row.shots or 0)), *cells)


def _find(grid: Grid, row: Row, column: Column) -> tuple[Published | None, str]:
    """The group to compare with and a remark, or None and why there is none."""
    if grid.headline != ACCURACY:
        return None, f"published numbers are accuracies, not {grid.headline.plural}"
    backbone = find_backbone(grid.model)
    if backbone is None:
        return None, f"no published backbone is {grid.model}"
    groups = [
        group
        for group in GROUPS
        if (group.backbone, group.method) == (backbone, row.method)
        and grid.protocol.name in group.protocols
        and group.value(column.dataset, column.measure, row.shots) is not None
    ]
    if not groups:
        return None, "not published for this method, data set and number of shots"
    facts = BENCHMARKS.get(plain_name(grid.source or ""))
    if grid.source is not None and not (facts and facts.usual_source):
        return None, f"published runs learn on ImageNet, not {grid.source}"
    subsets = SUBSETS_OF.get(column.measure, (column.measure,))
    cells = [grid.cells.get((row, dataset, subset), {}) for dataset in column.datasets for subset in subsets]
    evaluations = [e for cell in cells for e in cell.values()]
    if not evaluations:
        return None, "no run of ours"
    reason = _other_data(grid, column, evaluations)
    if reason:
        return None, reason
    reasons = []
    for group in groups:
        differs = [text for e in evaluations if (text := _other_setting(group, e))]
        if not differs:
            remarks = [text for e in evaluations for text in _differing(_part(group.recipe, True), e.recipe or {}, e)]
            return group, ", ".join(dict.fromkeys(remarks))
        reasons.append(differs[0])
    return None, min(reasons, key=len)


def _other_data(grid: Grid, column: Column, evaluations: Sequence[Record]) -> str:
    """Why our test data is not that of the papers; empty where it is."""
    if column.dataset == "average":
        places = list(FACTS)  # the paper's eleven, ImageNet first, and its variants
        others = places[11:] if grid.protocol.to_variants else places[1:11]
        expected = others if grid.protocol.transfers else places[:11]
        if {plain_name(name) for name in column.datasets} != set(expected):
            return f"the papers' average is over {len(expected)} data sets of theirs"
    for e in evaluations:
        fact = FACTS[plain_name(e.dataset)]
        n_classes, n_new = fact["n_classes"], fact["n_classes"] // 2
        expected_classes = {"all": n_classes, "base": n_classes - n_new, "new": n_new}[e.subset]
        if e.n_classes not in (None, expected_classes):
            return f"{e.dataset} here has {e.n_classes} classes, not {expected_classes}"
        if e.subset == "all" and None not in (e.n_test, fact["n_test"]) and e.n_test != fact["n_test"]:
            return f"{e.dataset} here has {e.n_test} test images, not {fact['n_test']}"
    return ""


def _other_setting(group: Published, e: Record) -> str:
    """The first thing in which a run is not what was published; empty where there is none."""
    if group.settings is None and e.variant != e.method:  # a preset that the protocol chose is no setting given
        return f"published with the settings of {group.name}, not {e.variant}"
    if group.selection is not None and e.selection != group.selection:
        return f"published with selection by {group.selection}, not {e.selection}"
    differs = _differing(group.settings or {}, e.settings, e)
    return ", ".join(differs + _differing(_part(group.recipe, False), e.recipe or {}, e))


def _part(recipe: Mapping[str, Any], named: bool) -> dict[str, Any]:
    """What of a recipe is only named where it differs, or what must be the same."""
    return {name: value for name, value in recipe.items() if (name in NAMED) == named}


def _differing(wanted: Mapping[str, Any], values: Mapping[str, Any], e: Record) -> list[str]:
    differing = []
    for name, value in wanted.items():
        ours = values.get(name, LATER.get(name, NOT_RECORDED) if values else NOT_RECORDED)
        if name == "templates":
            value = _templates(value, e)
            ours = list(TEMPLATES.get(ours, [ours])) if isinstance(ours, str) else ours
        elif name == "epochs" and value == "by shots":
            facts = BENCHMARKS.get(plain_name(e.source))
            value = (facts and facts.epochs) or paper_epochs(e.shots)
        elif name == "min_crop" and values.get("views") == 0:
            continue  # nothing is cropped
        if ours != value:
            differing.append(f"{name} is {_said(ours)} here, {_said(value)} there")
    return differing


def _templates(wanted: str | Mapping[str, str], e: Record) -> list[str]:
    """The templates that a group asks for: those of a name, or the source's own, but for sets that the group lists.

    A record has a name, a template or a list of them.
    """
    source = plain_name(e.source)
    if isinstance(wanted, str) and wanted != "data set":
        return list(TEMPLATE_NAMES.get(plain_name(wanted), []))
    listed = {} if isinstance(wanted, str) else {plain_name(name): text for name, text in wanted.items()}
    return [listed[source]] if source in listed else list(TEMPLATE_NAMES.get(source, []))


def _said(value: Any) -> str:
    if value is NOT_RECORDED:
        return "not recorded"
    if isinstance(value, list):
        return value[0] if len(value) == 1 else f"{len(value)} templates"
    return json.dumps(value, ensure_ascii=False)
