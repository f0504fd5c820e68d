"""The records of a benchmark: an evaluation, a failed run, a row of what was asked for.

The benchmark writes them and the report reads them; their fields are named here only.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from coopt.errors import RunError
from coopt.tasks import DEFAULT_TASK, TASKS, Figure

FORMAT = 1
SUBSETS = ("all", "base", "new")
"""Which classes are tested: all, the first half of them, the rest."""
ACCURACY = TASKS[DEFAULT_TASK].figures[0]
"""The headline of records that name none."""


@dataclass(frozen=True)
class Record:
    """One evaluation: what a run learned, tested on one data set or on some of its classes."""

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
    """The data set that was learned from."""
    dataset: str
    subset: str
    """One of `SUBSETS`."""
    shots: int | None
    seed: int
    selection: str
    """The images on which the hyperparameters were chosen."""
    n_parameters: int | None
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]
    peak_memory_mb: float | None
    n_classes: int | None = None
    n_train: int | None = None
    n_test: int | None = None
    versions: Mapping[str, Any] = field(default_factory=dict)
    task: str = DEFAULT_TASK
    headline: Figure = ACCURACY
    """The figure by which results of the task are compared."""
    date: str | None = None
    """The day on which it was measured (UTC): `2026-01-31`."""

    @property
    def cell(self) -> tuple[Any, ...]:
        """What identifies a measurement: two records of one cell contradict each other."""
        row = (self.protocol, self.model, self.variant, self.shots or 0)
        return (*row, self.source, self.dataset, self.subset, self.seed)

    def as_dict(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], where: str) -> "Record":
        """The record of a JSON object; a RunError, which begins with `where`, for one that `as_dict` did not write."""
        if value.get("format") != FORMAT:
            raise RunError(
                f"{where}: format is {value.get('format')!r}; this coopt reads format {FORMAT}. "
                "Use the coopt that wrote it, or run the benchmark again into a new folder."
            )
        found = read_fields(cls, value, where)
        if found["subset"] not in SUBSETS:
            raise RunError(f"{where}: subset is {found['subset']!r}; allowed is {', '.join(SUBSETS)}.")
        for group in ("metrics", "seconds"):
            for name, number in found[group].items():
                if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                    raise RunError(f"{where}: {group}.{name} is {number!r}; it must be a finite number.")
            found[group] = {name: float(number) for name, number in found[group].items()}
        if "headline" in found:
            found["headline"] = Figure(**read_fields(Figure, found["headline"], f"{where}, headline"))
        record = cls(**found)
        figures = TASKS[record.task].figures if record.task in TASKS else (record.headline,)
        needed = [name for figure in figures for name in (figure.name, figure.low, figure.high) if name]
        missing = [name for name in needed if name not in record.metrics]
        if missing:
            raise RunError(
                f"{where}: metrics lacks {', '.join(missing)}; the line was cut or written by something else."
            )
        return record


@dataclass(frozen=True)
class Failure:
    """A run that ended with an error; what is not known of it is None."""

    run: str
    reason: str
    protocol: str | None = None
    model: str | None = None
    fingerprint: str | None = None
    method: str | None = None
    variant: str | None = None
    preset: str | None = None
    settings: Mapping[str, Any] | None = None
    recipe: Mapping[str, Any] | None = None
    source: str | None = None
    shots: int | None = None
    seed: int | None = None
    tests: tuple[tuple[str, str], ...] = ()
    """(data set, subset) of every evaluation that is missing; empty where the file does not say."""
    traceback: str | None = None


@dataclass(frozen=True)
class GridRow:
    """What the benchmark was asked for: one method on one source with one number of shots."""

    protocol: str
    model: str
    method: str
    variant: str
    source: str
    shots: int | None
    seeds: tuple[int, ...]
    tests: tuple[tuple[str, str], ...]
    """(data set, subset) of every evaluation."""
    preset: str | None = None


def read_fields(kind: type, value: Any, where: str) -> dict[str, Any]:
    """The fields of a dataclass from a JSON object; a RunError where one is missing or not of its annotation's kind."""
    if not isinstance(value, dict):
        raise RunError(f"{where} is {value!r}; it must be an object.")
    found = {}
    for item in fields(kind):
        if item.name in value:
            found[item.name] = _checked(item.name, _kinds(item.type), value[item.name], where)
        elif item.default is MISSING and item.default_factory is MISSING:
            raise RunError(
                f"{where}: the field {item.name!r} is missing; the line was cut or written by something else."
            )
    return found


def _kinds(annotation: Any) -> tuple[type, ...]:
    """The types that JSON has for an annotation: `float | None` is a number or null."""
    in_json: dict[Any, list[type]] = {float: [int, float], Mapping: [dict], tuple: [list], Figure: [dict]}
    kinds: list[type] = []
    for part in get_args(annotation) if isinstance(annotation, UnionType) else (annotation,):
        origin = get_origin(part) or part
        kinds += in_json.get(origin, [origin])
    return tuple(kinds)


def _checked(name: str, kinds: Any, value: Any, where: str) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        allowed = " or ".join("null" if kind is NoneType else kind.__name__ for kind in kinds)
        raise RunError(f"{where}: {name} is {value!r}; it must be {allowed}.")
    if name == "seeds":
        if not all(isinstance(seed, int) for seed in value):
            raise RunError(f"{where}: seeds is {value!r}; it must be a list of whole numbers.")
        return tuple(sorted(value))
    if name == "tests":
        if not all(isinstance(test, list) and len(test) == 2 and test[1] in SUBSETS for test in value):
            raise RunError(f"{where}: tests is {value!r}; it must be a list of [data set, subset].")
        return tuple(sorted((str(dataset), subset) for dataset, subset in value))
    return float(value) if float in kinds and value is not None else value
