"""The records of a bench folder as a whole: no cell twice, in an order of their own, all of one task."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coopt.bench.records import GRID, read_failures, read_grid, read_records
from coopt.errors import RunError
from coopt.evaluate.record import ACCURACY, Failure, GridRow, Record
from coopt.tasks import Figure


@dataclass(frozen=True)
class Bench:
    """All records of a folder, in an order of their own."""

    evaluations: tuple[Record, ...]
    failures: tuple[Failure, ...]
    asked: tuple[GridRow, ...] = ()
    """Empty where nobody wrote down what was asked for; the grid is then what the records name."""

    @property
    def headline(self) -> Figure:
        """The figure that the records are compared by."""
        return self.evaluations[0].headline if self.evaluations else ACCURACY


def read_bench(folder: Path | str) -> Bench:
    """Read and check every record in a bench folder.

    Raises:
        RunError: there is no record, a file or line is not as the benchmark writes it, or `collect` refuses them.
    """
    folder = Path(folder)
    evaluations, failures = read_records(folder), read_failures(folder)
    asked = read_grid(folder) if (folder / GRID).is_file() else []
    if not evaluations and not failures:
        raise RunError(f"{folder} holds no benchmark records (runs/*.jsonl). Write them with: coopt bench")
    return collect(evaluations, failures, asked)


def collect(evaluations: Iterable[Record], failures: Iterable[Failure] = (), asked: Iterable[GridRow] = ()) -> Bench:
    """A bench whose order does not depend on the order of what is given.

    A RunError where two runs measured one cell, which a mean would count twice, or where the records are of several
    tasks, whose figures have no mean.
    """
    ordered = sorted(_name_weights(list(evaluations)), key=lambda e: (*e.cell, e.run))
    figures = {(e.task, e.headline): f"{e.task} ({e.headline.label})" for e in ordered}
    if len(figures) > 1:
        raise RunError(
            f"The records are of several tasks: {', '.join(sorted(figures.values()))}. Their figures do not compare; "
            "move the files of each task into a bench folder of its own and report that."
        )
    for one, other in zip(ordered, ordered[1:], strict=False):
        if one.cell == other.cell:
            raise RunError(_twice(one, other))
    # A run that went through on a second try counts; its old failure does not. Nor does one whose evaluations a run of
    # another id has: a damaged image that was removed, or data sets of a transfer that were tested in parts.
    done = {e.run for e in ordered}
    there = {(*_training(e), e.dataset, e.subset) for e in ordered}
    failed = [
        f for f in failures if f.run not in done and not (f.tests and {(*_training(f), *t) for t in f.tests} <= there)
    ]
    failed.sort(key=lambda f: (f.protocol or "", f.run, f.reason))
    rows = sorted(set(asked), key=lambda a: (a.protocol, a.model, a.variant, a.source, a.shots or 0, a.seeds, a.tests))
    return Bench(tuple(ordered), tuple(failed), tuple(rows))


def _training(item: Record | Failure) -> tuple[Any, ...]:
    return item.protocol, item.model, item.variant, item.source, item.shots, item.seed


def _name_weights(evaluations: list[Record]) -> list[Record]:
    """Where one name stood for several weights (a local folder that changed), the fingerprint joins the name."""
    prints: dict[str, set[str | None]] = {}
    for e in evaluations:
        prints.setdefault(e.model, set()).add(e.fingerprint)
    return [
        replace(e, model=f"{e.model} ({(e.fingerprint or 'unknown')[:8]})") if len(prints[e.model]) > 1 else e
        for e in evaluations
    ]


def _twice(one: Record, other: Record) -> str:
    cell = f"{one.protocol}, {one.model}, {one.variant!r}, {one.dataset} ({one.subset}), shots {one.shots}"
    names = ("fingerprint", "settings", "recipe", "selection", "versions")
    differs = [name for name in names if getattr(one, name) != getattr(other, name)]
    why = f"They differ in {', '.join(differs)}. " if differs else ""
    return (
        f"The runs {one.run!r} and {other.run!r} both measured {cell}, seed {one.seed}. {why}"
        "Keep one of the two files, or report them from folders of their own."
    )
