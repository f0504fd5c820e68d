"""Records as a grid: rows (variant, shots) by data sets, with the seeds that every cell should have."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from coopt.report.order import natural, sort_datasets
from coopt.report.read import Bench, Evaluation, Failure
from coopt.report.statistics import Summary, harmonic_mean, paired_differences, summarise

TRANSFER = ("cross-dataset", "shift")
"""Protocols that learn on one data set and test on others."""
H = "H"
"""The measure that is no subset: the harmonic mean of base and new."""


@dataclass(frozen=True)
class Row:
    """A line of a table."""

    variant: str
    method: str
    shots: int | None
    """None for a method that does not learn."""

    @property
    def order(self) -> tuple:
        """By shots, methods that do not learn first."""
        return (self.shots or 0, natural(self.variant))


@dataclass
class Grid:
    """The cells of one protocol and model (and, where the test is elsewhere, one source)."""

    protocol: str
    model: str
    source: str | None
    rows: list[Row] = field(default_factory=list)
    datasets: list[str] = field(default_factory=list)
    cells: dict[tuple[Row, str, str], dict[int, Evaluation]] = field(default_factory=dict)
    seeds: set[int] = field(default_factory=set)
    """Of the rows that learn: all of them should have all."""
    own_seeds: dict[Row, set[int]] = field(default_factory=dict)
    """Of the rows that do not learn: one is enough for a fixed prompt."""

    @property
    def targets(self) -> list[str]:
        """The data sets that an average is over."""
        return [name for name in self.datasets if name != self.source]

    @property
    def title(self) -> str:
        """The model, and the source where there is one."""
        return f"{self.model}, learned on {self.source}" if self.source else self.model

    def expected_seeds(self, row: Row) -> set[int]:
        """The seeds that each cell of a row should have."""
        return self.seeds if row.shots is not None else self.own_seeds[row]

    def by_seed(self, row: Row, datasets: Sequence[str], measure: str, metric: str = "accuracy") -> dict[int, float]:
        """Per seed the average over `datasets`; a seed that lacks one of them is left out."""
        if measure == H:
            base, new = (self.by_seed(row, datasets, subset, metric) for subset in ("base", "new"))
            return {seed: harmonic_mean(base[seed], new[seed]) for seed in sorted(base.keys() & new.keys())}
        columns = [self.cells.get((row, dataset, measure), {}) for dataset in datasets]
        complete = set.intersection(*(set(column) for column in columns)) if columns else set()
        return {seed: fmean(column[seed].metrics[metric] for column in columns) for seed in sorted(complete)}

    def summary(self, row: Row, datasets: Sequence[str], measure: str, metric: str = "accuracy") -> Summary:
        """Mean and spread over seeds of the average over `datasets`; missing where any cell is.

        H is that of the averaged base and new accuracies, as the authors print it; its spread is that of H per seed.
        """
        values = self.by_seed(row, datasets, measure, metric)
        centre = None
        if measure == H and values:
            base, new = (self.by_seed(row, datasets, subset, metric) for subset in ("base", "new"))
            centre = harmonic_mean(*(fmean(column[seed] for seed in values) for column in (base, new)))
        return summarise(list(values.values()), len(self.expected_seeds(row)), centre)

    def baseline_row(self, baseline: str, row: Row) -> Row | None:
        """The row of variant `baseline` that `row` is paired with: of the same shots, or one that learns nothing."""
        same = [other for other in self.rows if other.variant == baseline and other.shots in (row.shots, None)]
        return same[0] if same else None

    def difference(self, row: Row, baseline: Row, datasets: Sequence[str], measure: str) -> Summary:
        """Differences to `baseline`, paired by data set, shots and seed.

        A baseline that does not learn and has one value per data set is paired with every seed.
        """
        seeds = self.expected_seeds(row)
        pairs: list[float] = []
        for dataset in datasets:
            ours, theirs = (self.by_seed(r, [dataset], measure) for r in (row, baseline))
            if baseline.shots is None and len(self.expected_seeds(baseline)) == 1 and theirs:
                theirs = dict.fromkeys(ours, next(iter(theirs.values())))
            pairs += paired_differences(ours, theirs)
        return summarise(pairs, len(datasets) * len(seeds))


def make_grids(bench: Bench, protocol: str) -> list[Grid]:
    """The grids of a protocol, by model and source."""
    transfer = protocol in TRANSFER
    evaluations = [e for e in bench.evaluations if e.protocol == protocol]
    if protocol == "fewshot":
        evaluations += _hand_written(bench, evaluations)
    failures = [f for f in bench.failures if f.protocol == protocol]
    found: dict[str, set[str | None]] = defaultdict(set)
    for e in evaluations:
        # A method that does not learn has no source of its own; it joins the grids of those that do.
        found[e.model] |= {e.source} if transfer and e.shots is not None else set()
    for f in failures:
        if f.model is not None:
            found[f.model] |= {f.source} if transfer and f.source is not None else set()
    grids = []
    for model in sorted({e.model for e in evaluations} | set(found), key=natural):
        sources: list[str | None] = [*sort_datasets(s for s in found[model] if s is not None)] or [None]
        for source in sources:
            grids.append(_fill(Grid(protocol, model, source), evaluations, failures))
    return grids


def _hand_written(bench: Bench, fewshot: Sequence[Evaluation]) -> list[Evaluation]:
    """Zero-shot results of the few-shot grid's models and data sets that were measured by the other protocol."""
    asked = {(e.model, e.dataset) for e in fewshot}
    there = {(e.model, e.dataset, e.variant) for e in fewshot if e.shots is None}
    return [
        e
        for e in bench.evaluations
        if (e.protocol, e.subset) == ("zero-shot", "all")
        and (e.model, e.dataset) in asked
        and (e.model, e.dataset, e.variant) not in there
    ]


def _fill(grid: Grid, evaluations: Sequence[Evaluation], failures: Sequence[Failure]) -> Grid:
    rows: set[Row] = set()
    datasets: set[str] = set()
    # A fixed prompt may have been measured once per source: that of this grid's source counts, so it comes last.
    for e in sorted(evaluations, key=lambda e: e.source == grid.source):
        if e.model != grid.model or (grid.source and e.shots is not None and e.source != grid.source):
            continue
        row = Row(e.variant, e.method, e.shots)
        seeds = grid.cells.setdefault((row, e.dataset, e.subset), {})
        seeds[e.seed] = e
        rows.add(row)
        datasets.add(e.dataset)
        (grid.seeds if e.shots is not None else grid.own_seeds.setdefault(row, set())).add(e.seed)
    for f in failures:
        other = grid.source and f.shots is not None and f.source not in (None, grid.source)
        if f.model != grid.model or f.variant is None or f.seed is None or other:
            continue
        row = Row(f.variant, f.method or f.variant, f.shots)
        rows.add(row)
        (grid.seeds if f.shots is not None else grid.own_seeds.setdefault(row, set())).add(f.seed)
        if f.source is not None:
            datasets.add(f.source)
    grid.rows = sorted(rows, key=lambda row: row.order)
    first = [grid.source] if grid.source in datasets else []
    grid.datasets = [*first, *(name for name in sort_datasets(datasets) if name not in first)]
    return grid
