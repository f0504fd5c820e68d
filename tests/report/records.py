"""Records as the benchmark writes them, with made-up accuracies."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from coopt.evaluate.record import Failure, GridRow, Record, read_fields
from coopt.report.records import Bench, collect

PAPER_RECIPE = {
    "epochs": 200,
    "batch_size": 32,
    "optimizer": "sgd",
    "lr": 0.002,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 0.0005,
    "eps": 1e-08,
    "schedule": "cosine",
    "warmup_epochs": 1,
    "warmup_lr": 1e-05,
    "views": "fresh",
    "min_crop": 0.08,
    "drop_last": True,
    "precision": "auto",
}
"""The recipe of CoOp's paper with 16 shots, as a record has it."""
METHODS = {"zero-shot": "none", "linear-probe": "cross-validation", "coop": "none"}


def record(accuracy: float = 61.25, **changes: Any) -> dict[str, Any]:
    """One line; the run's name follows from what it is."""
    line: dict[str, Any] = {
        "format": 1,
        "protocol": "fewshot",
        "model": "builtin",
        "fingerprint": "f00d",
        "method": "coop",
        "preset": None,
        "settings": {"n_ctx": 16, "position": "end", "class_specific": False, "ctx_init": None},
        "recipe": {"epochs": 50, "batch_size": 32, "optimizer": "sgd", "lr": 0.002, "views": 0},
        "source": "icons",
        "subset": "all",
        "shots": 16,
        "seed": 1,
        "selection": "none",
        "n_classes": 20,
        "n_train": 320,
        "n_test": 454,
        "n_parameters": 8192,
        "seconds": {"fit": 12.5, "evaluate": 0.25},
        "peak_memory_mb": 512.0,
        "versions": {"coopt": "0.1.0"},
    } | changes
    line.setdefault("variant", line["method"])
    line.setdefault("dataset", line["source"])
    if line["shots"] is None:
        line["recipe"] = None
    identity = [line[name] for name in ("protocol", "model", "variant", "source", "shots", "seed")]
    line.setdefault("run", "-".join(map(str, identity)).replace(" ", "_").replace("/", "_"))
    line.setdefault(
        "metrics",
        {
            "accuracy": accuracy,
            "accuracy_low": accuracy - 3,
            "accuracy_high": accuracy + 3,
            "macro_f1": accuracy - 1,
            "calibration_error": 100 - accuracy,
        },
    )
    return line


def bench_of(
    lines: Iterable[dict[str, Any]],
    failures: Iterable[dict[str, Any]] = (),
    asked: Iterable[dict[str, Any]] = (),
) -> Bench:
    """The checked records of a list of lines."""
    evaluations = [Record.from_dict(line, "a test") for line in lines]
    failed = [Failure(**read_fields(Failure, failure, "a test")) for failure in failures]
    return collect(evaluations, failed, [GridRow(**read_fields(GridRow, row, "a test")) for row in asked])


def write_folder(folder: Path, lines: Iterable[dict[str, Any]], failures: Iterable[dict[str, Any]] = ()) -> Path:
    """A bench folder: a file per run."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        runs.setdefault(line["run"], []).append(line)
    (folder / "runs").mkdir(parents=True)
    (folder / "failed").mkdir()
    for run, found in runs.items():
        (folder / "runs" / f"{run}.jsonl").write_text("".join(json.dumps(x) + "\n" for x in found))
    for failure in failures:
        (folder / "failed" / f"{failure['run']}.json").write_text(json.dumps(failure))
    return folder


def fewshot_grid(
    datasets: Sequence[str], variants: Sequence[str], shots: Sequence[int] = (1, 2, 4, 8, 16), seeds: int = 3
) -> list[dict[str, Any]]:
    """Zero-shot and learned methods on every data set; better with more shots."""
    chance = random.Random("fewshot")
    lines = []
    for d, dataset in enumerate(datasets):
        level = 35 + 7 * (d % 5)
        lines.append(
            record(level + 0.5, method="zero-shot", source=dataset, shots=None, settings={"templates": "photo"})
        )
        for v, variant in enumerate(variants):
            method = variant.split()[0] if variant.split()[0] in METHODS else "coop"
            for n in shots:
                for seed in range(1, seeds + 1):
                    accuracy = level + 2.3 * v - 6 + 6.1 * n.bit_length() + chance.gauss(0, 1.5)
                    extra = {"source": dataset, "shots": n, "seed": seed, "selection": METHODS.get(method, "none")}
                    lines.append(record(round(accuracy, 2), method=method, variant=variant, **extra))
    return lines
