"""The tables about the runs themselves: settings, time and memory, failures, every single evaluation."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from coopt.evaluate.record import Record
from coopt.report.order import natural
from coopt.report.records import Bench
from coopt.report.tables import MISSING, Entry, Table

SETTINGS_NOTE = (
    "Resolved settings: those given and the defaults of the others. Where a value differs between the runs of a line, "
    "it is listed with the shots or data sets that it belongs to."
)
COSTS_NOTE = (
    "Seconds of wall time per run (fitting; all its evaluations together): mean [lowest, highest]. Memory is the "
    "highest peak of a run. They depend on the machine and on what else it did. Every run by itself: costs-of-runs.csv."
)


def settings_table(bench: Bench) -> Table:
    """A line per protocol, model and variant."""
    groups = _grouped(bench.evaluations, lambda e: (e.protocol, e.model, e.variant))
    rows = []
    for (protocol, model, variant), found in groups:
        texts = (
            protocol,
            model,
            _listed(e.fingerprint for e in found),
            variant,
            found[0].method,
            _listed(e.preset for e in found),
            _listed(e.selection for e in found),
            describe([(e, e.settings) for e in found]),
            describe([(e, e.recipe) for e in found if e.recipe is not None]),
            describe([(e, {k: v for k, v in e.versions.items() if not k.endswith("_data")}) for e in found]),
        )
        rows.append(tuple(Entry(text, number=False) for text in texts))
    headings = ("Protocol", "Model", "Fingerprint", "Variant", "Method", "Preset", "Selection")
    columns = (*headings, "Settings", "Recipe", "Versions")
    return Table("settings", "Settings of each row", (SETTINGS_NOTE,), columns, tuple(rows))


def describe(found: Sequence[tuple[Record, Mapping[str, Any]]]) -> str:
    """`n_ctx=16, epochs=50 (1 shot) or 100 (2, 4 shots)`: each setting once, with where it holds if it varies."""
    names = list(dict.fromkeys(name for _, values in found for name in sorted(values)))
    return ", ".join(f"{name}={_vary(name, found)}" for name in sorted(names)) or MISSING


def _vary(name: str, found: Sequence[tuple[Record, Mapping[str, Any]]]) -> str:
    where: dict[str, list[Record]] = defaultdict(list)
    for e, values in found:
        value = values.get(name)
        said = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, sort_keys=True)
        where[said].append(e)
    if len(where) == 1:
        return next(iter(where))
    by_shots = {value: sorted({e.shots or 0 for e in es}) for value, es in where.items()}
    by_source = {value: sorted({e.source for e in es}, key=natural) for value, es in where.items()}
    choices: list[tuple[Mapping[str, Sequence[int | str]], str]] = [(by_shots, "shots"), (by_source, "")]
    for places, unit in choices:
        listed = [place for value in places.values() for place in value]
        if len(listed) == len(set(listed)):  # each value has shots (or data sets) of its own
            ordered = sorted(places.items(), key=lambda item: [natural(str(place)) for place in item[1]])
            return " or ".join(f"{v} ({', '.join(map(str, at))}{' ' + unit if unit else ''})" for v, at in ordered)
    return " or ".join(sorted(where, key=natural))


def _listed(values: Iterable[str | None]) -> str:
    return ", ".join(sorted({value for value in values if value is not None}, key=natural)) or MISSING


def costs_tables(bench: Bench) -> tuple[Table, Table]:
    """Time and memory per row, and of every run."""
    per_run = {run: _costs(found) for run, found in _grouped(bench.evaluations, lambda e: e.run)}
    rows, flat = [], []
    for key, found in _grouped(bench.evaluations, lambda e: (e.protocol, e.model, e.variant, e.shots or 0)):
        runs = sorted({e.run for e in found})
        fit, evaluate = [per_run[run][0] for run in runs], [per_run[run][1] for run in runs]
        peaks = [peak for run in runs if (peak := per_run[run][2]) is not None]
        sizes = sorted({e.n_parameters for e in found if e.n_parameters is not None})
        parameters = " to ".join(f"{n:,}" for n in sorted({sizes[0], sizes[-1]})) if sizes else MISSING
        numbers = (str(len(runs)), _range(fit), _range(evaluate), f"{max(peaks):.0f}" if peaks else MISSING, parameters)
        protocol, model, variant = (Entry(name, number=False) for name in key[:3])
        rows.append((variant, Entry(str(key[3])), *(Entry(text) for text in numbers), protocol, model))
        first = {e.run: e for e in reversed(found)}
        flat += [(*key, first[run].source, first[run].seed, run, *per_run[run]) for run in runs]
    measured = ("Runs", "Fit (s)", "Evaluate (s)", "Peak (MB)", "Parameters")
    columns = ("Method", "Shots", *measured, "Protocol", "Model")
    flat_columns = ("protocol", "model", "variant", "shots", "source", "seed", "run", "fit_s", "evaluate_s", "peak_mb")
    summary = Table("costs", "Time and memory per run", (COSTS_NOTE,), columns, tuple(rows))
    return summary, Table("costs-of-runs", "Time and memory of every run", (), (), (), (), flat_columns, tuple(flat))


def _costs(found: Sequence[Record]) -> tuple[float, float, float | None]:
    """A run's seconds of fitting (each of its lines repeats them) and of evaluating, and its peak of memory."""
    fit = max(e.seconds.get("fit", 0.0) for e in found)
    evaluate = sum(e.seconds.get("evaluate", 0.0) for e in found)
    peaks = [e.peak_memory_mb for e in found if e.peak_memory_mb is not None]
    return fit, evaluate, max(peaks, default=None)


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return f"{fmean(values):.1f}" + (f" [{low}, {high}]" if low != high else "")


def failures_table(bench: Bench) -> Table:
    """The runs that ended with an error."""
    columns = ("Protocol", "Model", "Variant", "Source", "Shots", "Seed", "Reason", "Run")
    rows = []
    for f in bench.failures:
        facts = (f.protocol, f.model, f.variant, f.source, f.shots, f.seed, f.reason, f.run)
        rows.append(tuple(Entry(MISSING if fact is None else str(fact), number=False) for fact in facts))
    note = "These runs ended with an error; their cells are missing. Starting the benchmark again retries them."
    return Table("failures", "Failed runs", (note,), columns, tuple(rows))


def evaluations_table(bench: Bench) -> Table:
    """Every evaluation with its metrics: the numbers that the means are taken of."""
    names = ("protocol", "model", "variant", "method", "source", "dataset", "subset", "shots", "seed", "selection")
    sizes = ("n_classes", "n_train", "n_test", "n_parameters")
    metrics = list(dict.fromkeys(name for e in bench.evaluations for name in e.metrics))
    rows = []
    for e in bench.evaluations:
        facts = tuple(getattr(e, name) for name in (*names, *sizes))
        rows.append((*facts, *(e.metrics.get(metric) for metric in metrics), e.run))
    return Table("evaluations", "Every evaluation", (), (), (), (), (*names, *sizes, *metrics, "run"), tuple(rows))


def _grouped(evaluations: Iterable[Record], key: Callable[[Record], Any]) -> list[tuple[Any, list[Record]]]:
    groups: dict[Any, list[Record]] = defaultdict(list)
    for e in evaluations:
        groups[key(e)].append(e)
    return list(groups.items())
