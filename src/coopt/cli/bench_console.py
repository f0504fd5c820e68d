"""What `coopt bench` shows while it works."""

from collections.abc import Sequence
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from coopt.bench import BenchReporter, Run
from coopt.cli.console import Lines, err
from coopt.evaluate.record import Record


class BenchConsole(Lines, BenchReporter):
    """A bar with the current runs on a terminal, a line per run elsewhere."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(quiet)
        self.n_done = 0
        self.current: dict[str, str] = {}
        self.progress = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}", markup=False),
            console=err,
            transient=True,
            disable=quiet or not err.is_terminal,
        )
        self.task: Any = None
        self.n_runs = 0

    def __enter__(self) -> "BenchConsole":
        self.progress.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.progress.stop()

    def planned(self, n_runs: int, n_done: int) -> None:
        """Begin the bar; the time left is estimated from the runs of this call."""
        self.n_runs, self.n_done = n_runs, n_done
        self.task = self.progress.add_task("", total=n_runs - n_done)
        if n_done:
            self.say(f"{n_done} of {n_runs} runs are done already")

    def started(self, run: Run) -> None:
        """Show the run beside the bar."""
        self.current[run.id] = run.label
        self._draw()

    def finished(self, run: Run, records: Sequence[Record]) -> None:
        """Show the run's figures, unless another process did it."""
        self.n_done += 1
        found = [f"{r.dataset} {r.subset} {r.headline.show(r.metrics[r.headline.name])}" for r in records]
        self._ended(run, ", ".join(found) if found else "done by another process")

    def failed(self, run: Run, reason: str) -> None:
        """Show the first line of the reason."""
        self._ended(run, f"failed: {reason.splitlines()[0]}")

    def retried(self, run: Run, reason: str) -> None:
        """Tell that a run begins again."""
        self.current.pop(run.id, None)
        self.say(f"again: {run.label} ({reason})")

    def _ended(self, run: Run, result: str) -> None:
        self.current.pop(run.id, None)
        self.progress.advance(self.task)
        if self.progress.disable:
            self.say(f"[{self.n_done}/{self.n_runs}] {run.label}: {result}")
        self._draw()

    def _draw(self) -> None:
        self.progress.update(self.task, description=" | ".join(self.current.values()))
