"""Records as a grid: rows (variant, shots) by data sets, with the seeds that every cell should have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from coopt.bench.protocols import PROTOCOLS, Protocol
from coopt.evaluate.record import Failure, GridRow, Record
from coopt.report.order import natural, sort_datasets
from coopt.report.records import Bench
from coopt.report.statistics import Summary, harmonic_mean, paired_differences, summarise
from coopt.tasks import Figure

H = "H"
"""The measure that is no subset: the harmonic mean of base and new."""
SUBSETS_OF = {H: ("base", "new")}
"""The subsets that a measure needs; of every other measure it is the subset of its name."""


@dataclass(frozen=True)
class Row:
    """A line of a table: a variant with a number of shots."""

    variant: str
    method: str
    shots: int | None
    """None for a method that does not learn."""


Cell = tuple[Row, str, str]
"""Row, data set, subset."""


@dataclass
class Grid:
    """The cells of one protocol and model (and, where the test is elsewhere, one source)."""

    protocol: Protocol
    headline: Figure
    """The figure that its cells show."""
    model: str
    source: str | None
    rows: list[Row] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    cells: dict[Cell, dict[int, Record]] = field(default_factory=dict)
    asked: dict[Cell, set[int]] = field(default_factory=dict)
    """Seeds that the benchmark was asked for. It is empty where nobody wrote that down: then every row that learns
    should have the seeds that any of them has, and a row that does not learn those of its own."""
    seen: dict[Row | None, set[int]] = field(default_factory=dict)
    """The seeds of all rows that learn (None), and of each that does not."""
    selections: dict[Row, set[str]] = field(default_factory=dict)
    """How the runs of a row chose their hyperparameters."""

    @property
    def targets(self) -> list[str]:
        """The data sets that an average is over."""
        return [name for name in self.datasets if name != self.source]

    @property
    def title(self) -> str:
        """The model, and the source where there is one."""
        return f"{self.model}, learned on {self.source}" if self.source else self.model

    def key(self, kind: str) -> str:
        """What the file of its table of this kind is named after."""
        return " ".join(word for word in (self.protocol.name, kind, self.model, self.source) if word)

    def expected(self, row: Row, datasets: Sequence[str], measure: str) -> set[int]:
        """The seeds that the value of a cell needs; none where a part of it was never asked for."""
        if not self.asked:
            return self.seen.get(None if row.shots is not None else row, set())
        cells = [(row, dataset, subset) for dataset in datasets for subset in SUBSETS_OF.get(measure, (measure,))]
        parts = [self.asked.get(cell, set()) | self.cells.get(cell, {}).keys() for cell in cells]
        return set.union(*parts) if parts and all(parts) else set()

    def by_seed(self, row: Row, datasets: Sequence[str], measure: str, metric: str | None = None) -> dict[int, float]:
        """Per seed that has all `datasets` their average of a metric, by default of the headline figure."""
        metric = metric or self.headline.name
        if measure == H:
            base, new = (self.by_seed(row, datasets, subset, metric) for subset in ("base", "new"))
            return {seed: harmonic_mean(base[seed], new[seed]) for seed in sorted(base.keys() & new.keys())}
        columns = [self.cells.get((row, dataset, measure), {}) for dataset in datasets]
        complete = set.intersection(*(set(column) for column in columns)) if columns else set()
        return {seed: fmean(column[seed].metrics[metric] for column in columns) for seed in sorted(complete)}

    def summary(self, row: Row, datasets: Sequence[str], measure: str, metric: str | None = None) -> Summary:
        """Mean and spread over seeds of the average over `datasets`; missing where any cell is.

        H is that of the averaged base and new figures, as the authors print it; its spread is that of H per seed.
        """
        values = self.by_seed(row, datasets, measure, metric)
        centre = None
        if measure == H and values:
            base, new = (self.by_seed(row, datasets, subset, metric) for subset in ("base", "new"))
            centre = harmonic_mean(*(fmean(column[seed] for seed in values) for column in (base, new)))
        # Every other metric that a table shows is a percentage.
        is_percent = metric not in (None, self.headline.name) or self.headline.unit == "%"
        limits = (0.0, 100.0) if is_percent else None
        return summarise(list(values.values()), len(self.expected(row, datasets, measure)), centre, limits)

    def baseline_row(self, baseline: str, row: Row) -> Row | None:
        """The row of variant `baseline` that `row` is paired with: of the same shots, or one that learns nothing."""
        same = (other for other in self.rows if other.variant == baseline and other.shots in (row.shots, None))
        return next(same, None)

    def difference(self, row: Row, baseline: Row, datasets: Sequence[str], measure: str) -> Summary:
        """Differences to `baseline`, paired by data set, shots and seed.

        A baseline that does not learn and has one value per data set is paired with every seed.
        """
        n_expected = [len(self.expected(row, [dataset], measure)) for dataset in datasets]
        if not all(n_expected):
            return summarise([], 0)
        pairs: list[float] = []
        bases: list[float] = []
        for dataset in datasets:
            ours, theirs = (self.by_seed(r, [dataset], measure) for r in (row, baseline))
            if baseline.shots is None and len(theirs) == 1 and len(self.expected(baseline, [dataset], measure)) == 1:
                theirs = dict.fromkeys(ours, next(iter(theirs.values())))
            pairs += paired_differences(ours, theirs)
            bases += [theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
        limits = None
        if self.headline.unit == "%" and bases:  # from the baseline down to 0, and up to 100
            limits = (-fmean(bases), 100.0 - fmean(bases))
        return summarise(pairs, sum(n_expected), limits=limits)

    def gain(self, row: Row, baseline: Row, datasets: Sequence[str]) -> Summary:
        """`difference`, or its negative where lower is better: a positive gain is an improvement."""
        found = self.difference(row, baseline, datasets, "all")
        return found if self.headline.higher_is_better else found.negative()


def make_grids(bench: Bench, protocol: str) -> list[Grid]:
    """The grids of a protocol, by model and source."""
    kind = PROTOCOLS[protocol]
    evaluations = [e for e in bench.evaluations if e.protocol == protocol]
    if kind.learns and kind.single:
        evaluations += _nothing_learned(bench, evaluations)
    failures = [f for f in bench.failures if f.protocol == protocol]
    # A model whose name was made longer (several weights of one name) cannot be found among what was asked for.
    models = {e.model for e in bench.evaluations} | {f.model for f in failures if f.model is not None}
    asked = [a for a in bench.asked if a.protocol == protocol and a.model in models]
    grids = []
    everything: list[Record | Failure | GridRow] = [*evaluations, *failures, *asked]
    for model in sorted({item.model for item in everything if item.model is not None}, key=natural):
        own = [item for item in everything if item.model == model]
        sources: list[str | None] = [None]
        if kind.transfers:
            # A method that does not learn has no source of its own; it joins the grids of those that do.
            sources = [*sort_datasets(i.source for i in own if i.source and i.shots is not None)] or [None]
        for source in sources:
            grids.append(_fill(Grid(kind, bench.headline, model, source), own))
    return grids


def _nothing_learned(bench: Bench, own: Sequence[Record]) -> list[Record]:
    """Results on the models and data sets of a grid that were measured by a protocol that learns nothing."""
    wanted = {(e.model, e.dataset) for e in own}
    there = {(e.model, e.dataset, e.variant) for e in own if e.shots is None}
    return [
        e
        for e in bench.evaluations
        if not PROTOCOLS[e.protocol].learns
        and e.subset == "all"
        and (e.model, e.dataset) in wanted
        and (e.model, e.dataset, e.variant) not in there
    ]


def _fill(grid: Grid, items: Sequence[Record | Failure | GridRow]) -> Grid:
    """Put what belongs to the grid's source into it; its data sets are those that methods which learn are tested on."""
    own = [i for i in items if grid.source is None or i.shots is None or i.source == grid.source]
    named = {name for i in own if grid.source is None or i.shots is not None for name in _datasets(i)}
    if grid.source is not None:
        named.add(grid.source)
        grid.datasets = [grid.source, *(name for name in sort_datasets(named) if name != grid.source)]
    else:
        grid.datasets = sort_datasets(named)
    rows = set()
    # A fixed prompt may have been measured once per source: that of this grid's source counts, so it comes last.
    for item in sorted(own, key=lambda i: i.source == grid.source):
        if item.variant is None or not named & _datasets(item):
            continue
        row = Row(item.variant, item.method or item.variant, item.shots)
        rows.add(row)
        seen = grid.seen.setdefault(None if item.shots is not None else row, set())
        if isinstance(item, Record):
            grid.cells.setdefault((row, item.dataset, item.subset), {})[item.seed] = item
            seen.add(item.seed)
            grid.selections.setdefault(row, set()).add(item.selection)
        elif isinstance(item, GridRow):
            for dataset, subset in item.tests:
                grid.asked.setdefault((row, dataset, subset), set()).update(item.seeds)
            seen.update(item.seeds)
        elif item.seed is not None:
            seen.add(item.seed)
    grid.rows = sorted(rows, key=lambda row: (row.shots or 0, natural(row.variant)))
    return grid


def _datasets(item: Record | Failure | GridRow) -> set[str]:
    """What an item says is tested on; a failure names only what was learned from."""
    if isinstance(item, Record):
        return {item.dataset}
    if isinstance(item, GridRow):
        return {dataset for dataset, _ in item.tests}
    return {item.source} if item.source is not None else set()
