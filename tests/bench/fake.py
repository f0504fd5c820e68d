"""An engine that computes nothing, and runs for it: the driver's own behaviour, without a model."""

import errno
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from coopt.bench import ModelChoice, Places, Run
from coopt.bench.engines import WorkerDied
from coopt.bench.execute import Failed, Result
from coopt.bench.protocols import Evaluation
from coopt.evaluate.record import Record


def fake_run(
    seed: int, source: str = "a", tests: tuple[str, ...] = (), protocol: str = "fewshot", digest: str = "0"
) -> Run:
    """A run of CoOp on data sets that are not there."""
    evaluations = tuple(Evaluation(name, "all") for name in tests or (source,))
    return Run(
        protocol=protocol,
        model=ModelChoice("builtin", "f00"),
        places=Places("nowhere"),
        variant="coop n_ctx=4",
        method="coop",
        preset=None,
        settings={"n_ctx": 4},
        recipe={"epochs": 2},
        source=source,
        subset="all",
        template="a {}.",
        shots=2,
        seed=seed,
        source_data=digest,
        tests=evaluations,
        tests_data={test: f"digest of {test.dataset} {digest}" for test in evaluations},
    )


METRICS = ("accuracy", "accuracy_low", "accuracy_high", "macro_f1", "calibration_error")


def fake_records(run: Run) -> list[Record]:
    """Records that depend on the run only."""
    return [
        Record(
            run=run.id,
            **run.facts(),
            **test._asdict(),
            selection="none",
            n_parameters=4,
            metrics=dict.fromkeys(METRICS, 10.0 * run.seed),
            versions={"test_data": run.tests_data[test]},
            seconds={"fit": 0.5},
            peak_memory_mb=3.0,
        )
        for test in run.tests
    ]


class FakeEngine:
    """Answers at once, with what `behave` says."""

    def __init__(self, behave: Callable[[Run], Any] = lambda run: None, n_workers: int = 2) -> None:
        self.behave = behave
        self.n_workers = n_workers
        self.submitted: list[tuple[int, Run]] = []
        self.replaced: list[int] = []

    def submit(self, worker: int, run: Run) -> "Future[Any]":
        self.submitted.append((worker, run))
        future: Future[Any] = Future()
        answer = self.behave(run)
        if isinstance(answer, WorkerDied):
            future.set_exception(answer)
        else:
            future.set_result(Failed(answer) if isinstance(answer, str) else answer or Result(fake_records(run)))
        return future

    def replace(self, worker: int) -> None:
        self.replaced.append(worker)

    def close(self) -> None:
        pass

    @property
    def runs(self) -> list[Run]:
        return [run for _, run in self.submitted]


FULL = OSError(errno.ENOSPC, "No space left on device")
