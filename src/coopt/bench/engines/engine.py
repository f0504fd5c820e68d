"""`Engine`: where runs are worked on; and the one without workers of its own."""

from concurrent.futures import Future
from typing import Any, Protocol, runtime_checkable

from coopt.bench.execute import attempt
from coopt.bench.grid import Run
from coopt.bench.shared import Shared


class WorkerDied(Exception):  # noqa: N818
    """A worker process ended in the middle of a run: killed, out of memory, crashed."""


@runtime_checkable
class Engine(Protocol):
    """Workers, each of which does one run at a time and keeps what it loaded for the next.

    `coopt.bench.run` decides which run goes where, what is tried again and what is written.
    """

    n_workers: int

    def submit(self, worker: int, run: Run) -> "Future[Any]":
        """Begin a run on worker 0, 1, ...; the future gives `Result`, `Failed`, or raises `WorkerDied`."""

    def replace(self, worker: int) -> None:
        """Put a new process in the place of one that died."""

    def close(self) -> None:
        """End all workers at once, also in the middle of a run."""


class InlineEngine:
    """Runs happen in this process, one after the other: for small grids, debuggers and tests."""

    n_workers = 1

    def __init__(self) -> None:
        self.shared = Shared()

    def submit(self, worker: int, run: Run) -> "Future[Any]":
        """Do the run now. An interruption is raised at once; it is no result."""
        future: Future[Any] = Future()
        future.set_result(attempt(run, self.shared, may_interrupt=True))
        return future

    def replace(self, worker: int) -> None:
        """Nothing to do: no worker dies without this process."""

    def close(self) -> None:
        """Nothing to do: no process was started."""
