"""What `verbose` shows: bars in a terminal or a notebook, lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from coopt.fit import Reporter
from coopt.fit.progress import ProgressReporter


@contextmanager
def progress_of(verbose: bool | int, reporter: Reporter | None = None) -> Iterator[Reporter]:
    """Who is told about progress: the given reporter, one that draws where `verbose` is set, or one that is quiet."""
    if reporter is not None or not verbose:
        yield reporter or Reporter()
        return
    with ProgressReporter(Console(stderr=True, highlight=False, soft_wrap=True)) as drawing:
        yield drawing
