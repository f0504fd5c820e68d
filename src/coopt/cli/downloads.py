"""Bars for what is downloaded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from coopt.cli.console import err


@contextmanager
def download_bars(quiet: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Draw a bar per file on a terminal; the result is called with the file, bytes done, and bytes in all or 0."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}

    def advance(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what)
        bars.update(tasks[what], completed=done, total=total or None)

    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as bars:
        yield advance


@contextmanager
def download_bar(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """The bar of a model's weights, for `load_model(..., progress=...)`; nothing is drawn where they are here."""
    with download_bars(quiet) as show:
        yield partial(show, "downloading the model")
