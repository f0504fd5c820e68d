"""What the benchmark recorded: evaluations, failures, and what was asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from coopt.errors import RunError


@dataclass(frozen=True)
class Evaluation:
    """One line: a run tested on one data set (or half of its classes)."""

    run: str
    protocol: str
    model: str
    fingerprint: str | None
    method: str
    variant: str
    preset: str | None
    settings: Mapping[str, Any]
    recipe: Mapping[str, Any] | None
    source: str
    dataset: str
    subset: str
    shots: int | None
    seed: int
    selection: str
    n_classes: int | None
    n_train: int | None
    n_test: int | None
    n_parameters: int | None
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]
    peak_memory_mb: float | None
    versions: Mapping[str, Any]

    @property
    def cell(self) -> tuple[Any, ...]:
        """What may be measured only once."""
        row = (self.protocol, self.model, self.variant, self.shots or 0)
        return (*row, self.source, self.dataset, self.subset, self.seed)


@dataclass(frozen=True)
class Failure:
    """A run that ended with an error; what is not known of it is None."""

    run: str
    reason: str
    protocol: str | None
    model: str | None
    method: str | None
    variant: str | None
    source: str | None
    shots: int | None
    seed: int | None
    tests: tuple[tuple[str, str], ...] = ()
    """(data set, subset) of every evaluation that it owes; empty where it does not say."""


@dataclass(frozen=True)
class Asked:
    """A row that the benchmark was asked for: one method on one source with one number of shots."""

    protocol: str
    model: str
    method: str
    variant: str
    source: str
    shots: int | None
    seeds: tuple[int, ...]
    tests: tuple[tuple[str, str], ...]
    """(data set, subset) of every evaluation."""


@dataclass(frozen=True)
class Bench:
    """All records of a folder, in an order of their own."""

    evaluations: tuple[Evaluation, ...]
    failures: tuple[Failure, ...]
    asked: tuple[Asked, ...] = ()
    """Empty where nobody wrote down what was asked for; the grid is then what the records name."""


def collect(evaluations: Iterable[Evaluation], failures: Iterable[Failure] = (), asked: Iterable[Asked] = ()) -> Bench:
    """A bench whose order does not depend on the order of what is given.

    Raises:
        RunError: two runs measured the same cell, so that a mean would count it twice.
    """
    ordered = sorted(_name_weights(list(evaluations)), key=lambda e: (*e.cell, e.run))
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


def _training(item: Evaluation | Failure) -> tuple[Any, ...]:
    return item.protocol, item.model, item.variant, item.source, item.shots, item.seed


def _name_weights(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Where one name stood for several weights (a local folder that changed), the fingerprint joins the name."""
    prints: dict[str, set[str | None]] = {}
    for e in evaluations:
        prints.setdefault(e.model, set()).add(e.fingerprint)
    return [
        replace(e, model=f"{e.model} ({(e.fingerprint or 'unknown')[:8]})") if len(prints[e.model]) > 1 else e
        for e in evaluations
    ]


def _twice(one: Evaluation, other: Evaluation) -> str:
    cell = f"{one.protocol}, {one.model}, {one.variant!r}, {one.dataset} ({one.subset}), shots {one.shots}"
    differs = [
        n
        for n in ("fingerprint", "settings", "recipe", "selection", "versions")
        if getattr(one, n) != getattr(other, n)
    ]
    why = f"They differ in {', '.join(differs)}. " if differs else ""
    return (
        f"The runs {one.run!r} and {other.run!r} both measured {cell}, seed {one.seed}. {why}"
        "Keep one of the two files, or report them from folders of their own."
    )
