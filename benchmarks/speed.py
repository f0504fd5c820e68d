"""The authors' way and coopt side by side: `python -m benchmarks.speed [--quick] [--parts text step ...]`."""

import argparse
import sys
from datetime import datetime, timezone
from pathlib import Path

import torch

from benchmarks import parts, per_image
from benchmarks.models import MODELS
from benchmarks.parts import Plan
from benchmarks.report import tables
from benchmarks.timing import Rate, machine, use_processor_time
from coopt.files import write_json

PARTS = {**parts.PARTS, "cocoop": per_image.cocoop, "tpt": per_image.tpt}


def arguments(argv: list[str]) -> argparse.Namespace:
    """The command line; `--quick` sets the sizes that are not given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ViT-B/32, 10 classes, M=16, few repetitions")
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="what to measure; default all, quick: text step")
    parser.add_argument("--models", nargs="+", choices=MODELS, help="default all")
    parser.add_argument("--classes", nargs="+", type=int, help="default 10 100 1000")
    parser.add_argument("--n-ctx", nargs="+", type=int, help="default 4 16")
    parser.add_argument("--repetitions", type=int, help="rounds; default 7")
    parser.add_argument("--slow-repetitions", type=int, help="of them, with the authors' way; default 3")
    parser.add_argument("--steps", type=int, help="authors' steps measured for the training part; default 20")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], help="default: bfloat16 on CUDA, else float32")
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall", help="processor: on a busy machine")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/speed.json"))
    given = parser.parse_args(argv)
    full = {
        "parts": list(PARTS),
        "models": MODELS,
        "classes": [10, 100, 1000],
        "n_ctx": [4, 16],
        "repetitions": 7,
        "slow_repetitions": 3,
        "steps": 20,
        "dtype": "bfloat16" if given.device.startswith("cuda") else "float32",
    }
    small = {"parts": ["text", "step"], "models": ["ViT-B/32"], "classes": [10], "n_ctx": [16], "repetitions": 3}
    small |= {"slow_repetitions": 1, "steps": 2}
    for name, value in (full | small if given.quick else full).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def main(argv: list[str]) -> None:
    """Measure, write the JSON after each record, print the tables."""
    given = arguments(argv)
    if given.clock == "processor":
        use_processor_time()
    device, dtype = torch.device(given.device), getattr(torch, given.dtype)
    results: dict[str, object] = {
        "command": " ".join(["python -m benchmarks.speed", *argv]),
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "dtype": given.dtype,
        "clock": given.clock,
        "machine": machine(device),
        "records": [],
    }
    plan = Plan(
        models=given.models,
        classes=given.classes,
        n_ctx=given.n_ctx,
        repetitions=given.repetitions,
        slow_repetitions=given.slow_repetitions,
        steps=given.steps,
        device=device,
        dtype=dtype,
        rate=Rate(device, dtype),
    )
    for part in given.parts:
        for record in PARTS[part](plan):
            results["records"].append(record)  # type: ignore[attr-defined]
            write_json(given.out, results)
            print(f"{part}: {record}", file=sys.stderr, flush=True)
    print(tables(results))


if __name__ == "__main__":
    main(sys.argv[1:])
