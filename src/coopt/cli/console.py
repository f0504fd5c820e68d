"""What the commands share: consoles, progress, notes and JSON output."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
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

from coopt.fit import EpochRecord, Reporter
from coopt.messages import listening

out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
"""Results go to standard output ..."""
err = Console(stderr=True, highlight=False, soft_wrap=True)
"""... and progress and notes to standard error, so that output can be piped."""


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


class Lines:
    """Notes and lines about progress on standard error; `quiet` only keeps the notes."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        """Keep a note for the JSON output, and show it at once."""
        self.notes.append(message)
        self.say(f"note: {message}")

    def say(self, message: str) -> None:
        """Print a line about progress."""
        if not self.quiet:
            err.print(message, markup=False)


class ConsoleReporter(Lines, Reporter):
    """Draws progress bars on a terminal, and a line per stage elsewhere."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__(quiet)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=err,
            transient=True,
            disable=quiet or not err.is_terminal,
        )
        self._task: Any = None
        self._stack = contextlib.ExitStack()
        self._n_epochs = 0

    def __enter__(self) -> "ConsoleReporter":
        self._stack.enter_context(self.progress)
        self._stack.enter_context(listening(self.note))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def skipped(self, images: Iterable[tuple[str, str]]) -> None:
        """A note for each image that could not be read: its name and the reason."""
        for name, reason in images:
            self.note(f"skipped {name}: {reason}")

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


def show_path(path: Path | str) -> str:
    """A path as the user would type it: relative to here where that is shorter."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
