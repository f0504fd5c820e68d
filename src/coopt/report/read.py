"""Records of a bench folder, checked: `runs/*.jsonl` (a line per evaluation) and `failed/*.json`."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from coopt.errors import RunError

FORMAT = 1
PROTOCOLS = ("fewshot", "base-to-new", "cross-dataset", "shift", "zero-shot")
SUBSETS = ("all", "base", "new")
METRICS = ("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "calibration_error")

_NUMBER = (int, float)
_REQUIRED: dict[str, tuple[type, ...]] = {
    "run": (str,),
    "protocol": (str,),
    "model": (str,),
    "method": (str,),
    "variant": (str,),
    "dataset": (str,),
    "subset": (str,),
    "selection": (str,),
    "settings": (dict,),
    "metrics": (dict,),
    "seconds": (dict,),
    "shots": (int, type(None)),
    "seed": (int,),
    "source": (str, type(None)),
    "fingerprint": (str, type(None)),
    "preset": (str, type(None)),
    "recipe": (dict, type(None)),
    "peak_memory_mb": (*_NUMBER, type(None)),
    "n_parameters": (int, type(None)),
}


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


@dataclass(frozen=True)
class Bench:
    """All records of a folder, in an order of their own."""

    evaluations: tuple[Evaluation, ...]
    failures: tuple[Failure, ...]


def read_bench(folder: Path | str) -> Bench:
    """Read and check every record below `folder`.

    Raises:
        RunError: there is no record, a file or line is not as the benchmark writes it, or one cell was measured twice.
    """
    folder = Path(folder)
    evaluations = []
    for path in sorted((folder / "runs").glob("*.jsonl")):
        # Not splitlines(): U+2028 and others are allowed inside a line of JSON.
        for number, line in enumerate(_read(path).split("\n"), start=1):
            if line.strip():
                evaluations.append(parse_evaluation(_object(line, f"{path}, line {number}"), f"{path}, line {number}"))
    failures = []
    for path in sorted((folder / "failed").glob("*.json")):
        failures.append(parse_failure(_object(_read(path), str(path)), str(path)))
    if not evaluations and not failures:
        raise RunError(f"{folder} holds no benchmark records (runs/*.jsonl). Write them with: coopt bench")
    return collect(evaluations, failures)


def collect(evaluations: Iterable[Evaluation], failures: Iterable[Failure] = ()) -> Bench:
    """A bench whose order does not depend on the order of what is given.

    Raises:
        RunError: two runs measured the same cell, so that a mean would count it twice.
    """
    ordered = sorted(_name_weights(list(evaluations)), key=lambda e: (*e.cell, e.run))
    for one, other in zip(ordered, ordered[1:], strict=False):
        if one.cell == other.cell:
            raise RunError(_twice(one, other))
    # A run that went through on a second try counts; its old failure does not.
    done = {e.run for e in ordered}
    failed = [f for f in failures if f.run not in done]
    return Bench(tuple(ordered), tuple(sorted(failed, key=lambda f: (f.protocol or "", f.run, f.reason))))


def _name_weights(evaluations: list[Evaluation]) -> list[Evaluation]:
    """Where one name stood for several weights (a local folder that changed), the fingerprint joins the name."""
    prints: dict[str, set[str | None]] = {}
    for e in evaluations:
        prints.setdefault(e.model, set()).add(e.fingerprint)
    return [
        replace(e, model=f"{e.model} ({(e.fingerprint or 'unknown')[:8]})") if len(prints[e.model]) > 1 else e
        for e in evaluations
    ]


def parse_evaluation(line: Mapping[str, Any], where: str) -> Evaluation:
    """One line of a records file.

    Raises:
        RunError: a field is missing or of another kind; the message names `where`.
    """
    if line.get("format") != FORMAT:
        raise RunError(
            f"{where}: format is {line.get('format')!r}; this coopt reads format {FORMAT}. "
            "Use the coopt that wrote it, or run the benchmark again into a new folder."
        )
    for name, kinds in _REQUIRED.items():
        _check_kind(line, name, kinds, where)
    for name, allowed in (("protocol", PROTOCOLS), ("subset", SUBSETS)):
        if line[name] not in allowed:
            raise RunError(f"{where}: {name} is {line[name]!r}; allowed is {', '.join(allowed)}.")
    for group in ("metrics", "seconds"):
        for name, value in line[group].items():
            if isinstance(value, bool) or not isinstance(value, _NUMBER) or not math.isfinite(value):
                raise RunError(f"{where}: {group}.{name} is {value!r}; it must be a finite number.")
    missing = [name for name in METRICS if name not in line["metrics"]]
    if missing:
        raise RunError(f"{where}: metrics lacks {', '.join(missing)}; the line was cut or written by something else.")
    known: dict[str, Any] = {name: line.get(name) for name in Evaluation.__dataclass_fields__}
    known["source"] = line["source"] if line["source"] is not None else line["dataset"]
    known["versions"] = line.get("versions") or {}
    return Evaluation(**known)


def parse_failure(value: Mapping[str, Any], where: str) -> Failure:
    """The file of a failed run.

    Raises:
        RunError: it names no run or no reason, or a field is of another kind.
    """
    kinds = {name: _REQUIRED[name] for name in ("protocol", "model", "method", "variant", "source", "shots", "seed")}
    for name in ("run", "reason"):
        _check_kind(value, name, (str,), where)
    for name, allowed in kinds.items():
        if value.get(name) is not None:
            _check_kind(value, name, allowed, where)
    return Failure(value["run"], value["reason"], **{name: value.get(name) for name in kinds})


def _check_kind(line: Mapping[str, Any], name: str, kinds: tuple[type, ...], where: str) -> None:
    if name not in line:
        raise RunError(f"{where}: the field {name!r} is missing; the line was cut or written by something else.")
    value = line[name]
    if not isinstance(value, kinds) or isinstance(value, bool):
        allowed = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
        raise RunError(f"{where}: {name} is {value!r}; it must be {allowed}.")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}); remove or restore it."
        ) from error


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise RunError(f"{where} is no JSON ({error}); remove the file and run the benchmark again.") from error
    if not isinstance(value, dict):
        raise RunError(f"{where} holds {type(value).__name__} in place of an object; remove the file.")
    return value


def _twice(one: Evaluation, other: Evaluation) -> str:
    cell = f"{one.protocol}, {one.model}, {one.variant!r}, {one.dataset} ({one.subset}), shots {one.shots}"
    differs = [n for n in ("fingerprint", "settings", "recipe", "selection") if getattr(one, n) != getattr(other, n)]
    why = f"They differ in {', '.join(differs)}. " if differs else ""
    return (
        f"The runs {one.run!r} and {other.run!r} both measured {cell}, seed {one.seed}. {why}"
        "Keep one of the two files, or report them from folders of their own."
    )
