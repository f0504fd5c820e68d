"""A small grid on a Ray cluster of two workers on this machine, one of which is killed in its work: DATA_FILE OUT."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import ray

from coopt.bench import (
    BenchFolder,
    BenchReporter,
    Choice,
    ModelChoice,
    Places,
    RayEngine,
    Run,
    choose,
    find_protocol,
    make_runs,
    read_variants,
    run_bench,
)
from coopt.evaluate.record import Record
from coopt.models import load_model


class Killer(BenchReporter):
    """Kills the process that ended the first run, while it is in its next."""

    def __init__(self, engine: RayEngine) -> None:
        self.engine = engine
        self.n_retries = self.n_finished = 0

    def finished(self, run: Run, records: Sequence[Record]) -> None:
        self.n_finished += 1
        if self.n_finished == 1:
            idle, _ = ray.wait([actor.process_id.remote() for actor in self.engine.actors if actor is not None])
            threading.Timer(0.1, os.kill, [ray.get(idle[0]), signal.SIGKILL]).start()

    def retried(self, run: Run, reason: str) -> None:
        self.n_retries += 1
        print(reason, file=sys.stderr)


def main(data_file: Path, out: Path) -> None:
    places = Places(str(data_file.parent), str(data_file))
    protocol = find_protocol("base-to-new")
    asked, _ = choose(Choice(["shapes"]), protocol, places)
    runs = make_runs(
        protocol,
        asked,
        read_variants(["zero-shot; linear-probe; coop n_ctx=3, epochs=4"]),
        shots=[2],
        n_seeds=3,
        model=ModelChoice("builtin", load_model("builtin").fingerprint),
        places=places,
    )
    engine = RayEngine(2)
    killer = Killer(engine)
    try:
        outcome = run_bench(runs, BenchFolder(out), engine, killer)
    finally:
        engine.close()
    print("retried", killer.n_retries, "failed", len(outcome.failed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
