"""`run_bench`: hand out the runs that are not done, write what comes back, until nothing is left."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field, replace
from typing import Any

from filelock import FileLock

from coopt.bench.engines import Engine, WorkerDied
from coopt.bench.execute import Failed, Result
from coopt.bench.grid import Run, grid_rows
from coopt.bench.protocols import PROTOCOLS
from coopt.bench.records import BenchFolder
from coopt.evaluate.record import Failure, Record
from coopt.fit.signals import stop_on_signal

ATTEMPTS = 3
"""How often a run whose worker dies is begun."""
POLL_SECONDS = 0.5
"""Time after which runs of another process, and whether Ctrl-C was pressed, are looked at again."""


class BenchReporter:
    """Listens to a benchmark; every method may be overridden, and does nothing by default."""

    def planned(self, n_runs: int, n_done: int) -> None:
        """`n_runs` are asked for, of which `n_done` were done before."""

    def started(self, run: Run) -> None:
        """A run begins."""

    def finished(self, run: Run, records: Sequence[Record]) -> None:
        """A run's records are written; by another process if there are none."""

    def failed(self, run: Run, reason: str) -> None:
        """A run failed; the next call tries it again."""

    def retried(self, run: Run, reason: str) -> None:
        """A run's worker died; it begins again."""

    def note(self, message: str) -> None:
        """A line that the user should see."""


@dataclass
class Outcome:
    """How many runs a call had: done before it, by it, by another process meanwhile; and those that failed, and why."""

    n_runs: int
    n_before: int = 0
    n_done: int = 0
    n_elsewhere: int = 0
    failed: list[tuple[Run, str]] = field(default_factory=list)


@dataclass
class InFlight:
    """A run that a worker is busy with."""

    run: Run
    worker: int
    claim: FileLock


class _Bench:
    """The state of one call of `run_bench`."""

    def __init__(self, folder: BenchFolder, engine: Engine, reporter: BenchReporter, outcome: Outcome) -> None:
        self.folder, self.engine, self.reporter, self.outcome = folder, engine, reporter, outcome
        self.busy: dict[Future[Any], InFlight] = {}
        self.attempts: Counter[str] = Counter()
        self.last: list[str | None] = [None] * engine.n_workers
        """The data set that each worker has loaded."""
        self.noted: set[str] = set()

    def free_workers(self) -> list[int]:
        taken = {item.worker for item in self.busy.values()}
        return [worker for worker in range(self.engine.n_workers) if worker not in taken]

    def begin(self, run: Run, worker: int) -> bool:
        """Claim and submit a run; False where another process has it."""
        held = self.folder.claim(run.key)
        if held is None:
            return False
        try:
            run = remaining(self.folder, run)  # another process may have done it since it was planned
            if not run.tests:
                self.outcome.n_elsewhere += 1
                self.reporter.finished(run, [])
                held.release()
                return True
            self.reporter.started(run)
            self.last[worker] = run.source
            self.busy[self.engine.submit(worker, run)] = InFlight(run, worker, held)
        except BaseException:
            held.release()
            raise
        return True

    def take_back(self, future: "Future[Any]", pending: "deque[Run]") -> None:
        """Write a run's result and release its claim, or put the run back in line if its worker died."""
        item = self.busy.pop(future)
        try:
            try:
                result: Result | Failed = future.result()
            except WorkerDied as error:
                result = Failed(str(error), interrupted=True)
            if isinstance(result, Result):
                self.write(item.run, result)
            elif result.interrupted:
                self.engine.replace(item.worker)
                self.retry(item.run, result.reason, pending)
            else:
                self.fail(item.run, result.reason, result.traceback)
        finally:
            item.claim.release()

    def write(self, run: Run, result: Result) -> None:
        self.folder.write_records(run.id, result.records)
        self.outcome.n_done += 1
        for note in result.notes:
            if note not in self.noted:
                self.noted.add(note)
                self.reporter.note(note)
        self.reporter.finished(run, result.records)

    def retry(self, run: Run, reason: str, pending: "deque[Run]") -> None:
        self.attempts[run.key] += 1
        if self.attempts[run.key] < ATTEMPTS:
            self.reporter.retried(run, reason)
            pending.appendleft(run)
        else:
            self.fail(run, f"WorkerDied: {reason}, {ATTEMPTS} times", None)

    def fail(self, run: Run, reason: str, traceback: str | None) -> None:
        self.folder.write_failure(Failure(run.id, reason, **run.facts(), tests=run.tests, traceback=traceback))
        self.outcome.failed.append((run, reason))
        self.reporter.failed(run, reason)


def run_bench(
    runs: Sequence[Run], folder: BenchFolder, engine: Engine, reporter: BenchReporter | None = None
) -> Outcome:
    """Do every run that is not done; other processes may do the same at the same time.

    A run is written once, when it is complete; killing this process at any moment loses the runs in flight and nothing
    else. Runs that failed before are tried again; one that fails now is written down and does not stop the others.

    `reporter` hears about progress; the engine is not closed here.

    Raises:
        OSError: a record cannot be written (a full disk); what was written is complete.
    """
    reporter = reporter or BenchReporter()
    folder.add_to_grid(grid_rows(runs))
    left = deque(run for run in (remaining(folder, run) for run in runs) if run.tests)
    outcome = Outcome(len(runs), n_before=len(runs) - len(left))
    reporter.planned(len(runs), outcome.n_before)
    bench = _Bench(folder, engine, reporter, outcome)
    elsewhere: deque[Run] = deque()
    try:
        with stop_on_signal() as stop:
            while left or elsewhere or bench.busy:
                if stop.is_set():
                    raise KeyboardInterrupt
                while left and (free := bench.free_workers()):
                    run = next_run(left, bench.last[free[0]], bench.last)
                    left.remove(run)
                    if not bench.begin(run, free[0]):
                        elsewhere.append(run)
                if bench.busy:
                    done, _ = wait(bench.busy, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        bench.take_back(future, left)
                elif elsewhere:
                    time.sleep(POLL_SECONDS)
                if not left:
                    left, elsewhere = elsewhere, left
    finally:
        for item in bench.busy.values():
            item.claim.release()
    return outcome


def remaining(folder: BenchFolder, run: Run) -> Run:
    """A run without the tests that are done; one that has none left is done.

    Records are written once, so data sets that are added to a transfer need a run of their own, which trains again.
    """
    if folder.record_file(run.id).is_file():
        return replace(run, tests=())
    if PROTOCOLS[run.protocol].single:
        return run  # the name of its file says all; of other protocols a part may be done elsewhere
    covered = folder.covered(run.key)
    return replace(run, tests=tuple(test for test in run.tests if (*test, run.tests_data[test]) not in covered))


def next_run(pending: Sequence[Run] | deque[Run], last: str | None, loaded: Sequence[str | None]) -> Run:
    """The first run of the data set that a worker has loaded, else of the one that fewest workers have loaded."""
    return min(pending, key=lambda run: (run.source != last, sum(source == run.source for source in loaded)))
