"""Progress as bars on a terminal or in a notebook, and as a line per stage elsewhere."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from coopt.fit.loop import EpochRecord
from coopt.fit.reporter import Reporter


def draws_bars(console: Console) -> bool:
    """Whether bars can be drawn: on a terminal, and in a notebook that has ipywidgets; elsewhere lines are printed."""
    return console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)


class ProgressReporter(Reporter):
    """Draws progress on a console; notes are passed on as `Reporter` does."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        self.console, self.is_quiet = console, quiet
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}", markup=False),
            console=console,
            transient=True,
            disable=quiet or not draws_bars(console),
        )
        self._task: Any = None
        self._n_epochs = 0

    def __enter__(self) -> Any:
        self.progress.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.progress.stop()

    def say(self, message: str) -> None:
        """Print a line about progress."""
        if not self.is_quiet:
            self.console.print(message, markup=False)

    def encoding(self, what: str) -> Callable[[int, int], None]:
        """A bar with images per second; images that come from the cache are not counted in it."""
        task = self.progress.add_task(f"encoding {what}", total=None, numbers="")
        started = time.perf_counter()
        cached: int | None = None

        def advance(done: int, total: int) -> None:
            nonlocal cached
            cached = done if cached is None else cached
            if task not in self.progress.task_ids:
                return
            speed = (done - cached) / max(1e-9, time.perf_counter() - started)
            self.progress.update(task, completed=done, total=total, numbers=f"{speed:.0f} images/s")
            if done >= total:
                self.progress.remove_task(task)

        return advance

    def training(self, n_epochs: int) -> None:
        """A bar over epochs."""
        self._n_epochs = n_epochs
        self._task = self.progress.add_task("training", total=n_epochs, numbers="")

    def epoch(self, record: EpochRecord) -> None:
        """Loss, training accuracy and learning rate beside the bar."""
        numbers = f"loss {record.loss:.3f}  {record.progress_name} {record.progress:.1f}  lr {record.lr:.1e}"
        self.progress.update(self._task, completed=record.epoch, numbers=numbers)
        if self.progress.disable and record.epoch % max(1, self._n_epochs // 4) == 0:
            self.say(f"epoch {record.epoch}/{self._n_epochs}  {numbers}")
        if record.epoch == self._n_epochs:
            self.progress.remove_task(self._task)
