"""No workers: runs happen in this process, one after the other."""

from concurrent.futures import Future
from typing import Any

from coopt.bench.execute import attempt
from coopt.bench.grid import Run
from coopt.bench.shared import Shared


class InlineEngine:
    """For small grids, debuggers and tests."""

    n_workers = 1

    def __init__(self) -> None:
        self.shared = Shared()

    def submit(self, worker: int, run: Run) -> "Future[Any]":
        """Do it now. An interruption leaves at once; it is no result."""
        future: Future[Any] = Future()
        future.set_result(attempt(run, self.shared, may_interrupt=True))
        return future

    def replace(self, worker: int) -> None:
        """Nothing to do: no worker dies without this process."""

    def close(self) -> None:
        """Nothing to do: no process was started."""
