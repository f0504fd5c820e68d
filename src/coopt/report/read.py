"""Records of a bench folder, checked: `runs/*.jsonl` (a line per evaluation), `failed/*.json` and `grid.json`."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coopt.errors import RunError
from coopt.report.records import Asked, Bench, Evaluation, Failure, collect

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
    asked = []
    if (folder / "grid.json").is_file():
        where = str(folder / "grid.json")
        rows = _object(_read(folder / "grid.json"), where).get("rows")
        if not isinstance(rows, list):
            raise RunError(f"{where} has no list of rows; remove it and type the bench command again.")
        asked = [parse_asked(row, f"{where}, row {number}") for number, row in enumerate(rows, start=1)]
    if not evaluations and not failures:
        raise RunError(f"{folder} holds no benchmark records (runs/*.jsonl). Write them with: coopt bench")
    return collect(evaluations, failures, asked)


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
    for group in ("metrics", "seconds"):
        known[group] = {name: float(value) for name, value in line[group].items()}
    known["peak_memory_mb"] = None if line["peak_memory_mb"] is None else float(line["peak_memory_mb"])
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
    tests = value.get("tests") or []
    if not isinstance(tests, list) or not all(isinstance(test, list) and len(test) == 2 for test in tests):
        raise RunError(f"{where}: tests is {tests!r}; it must be a list of [data set, subset].")
    owed = tuple((str(dataset), str(subset)) for dataset, subset in tests)
    return Failure(value["run"], value["reason"], **{name: value.get(name) for name in kinds}, tests=owed)


def parse_asked(value: Any, where: str) -> Asked:
    """A row of `grid.json`.

    Raises:
        RunError: a field is missing or of another kind.
    """
    if not isinstance(value, dict):
        raise RunError(f"{where} is {value!r}; it must be an object.")
    names = ("protocol", "model", "method", "variant", "source", "shots")
    for name in names:
        _check_kind(value, name, _REQUIRED[name] if name != "source" else (str,), where)
    for name in ("seeds", "tests"):
        _check_kind(value, name, (list,), where)
    seeds, tests = value["seeds"], value["tests"]
    if not all(isinstance(seed, int) for seed in seeds):
        raise RunError(f"{where}: seeds is {seeds!r}; it must be a list of whole numbers.")
    if not all(isinstance(test, list) and len(test) == 2 and test[1] in SUBSETS for test in tests):
        raise RunError(f"{where}: tests is {tests!r}; it must be a list of [data set, subset].")
    facts = {name: value[name] for name in names}
    return Asked(**facts, seeds=tuple(sorted(seeds)), tests=tuple(sorted((str(d), s) for d, s in tests)))


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
