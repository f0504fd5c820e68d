"""What long work tells while it runs: notes are warnings here; the command line draws all of it."""

import warnings
from collections.abc import Callable, Iterable

from coopt.data import DataWarning
from coopt.fit.loop import EpochRecord


class Reporter:
    """Listens to a fit. Every method may be overridden; by default only notes are passed on, as warnings."""

    def note(self, message: str) -> None:
        """A line that the user should see (a file that was skipped, a class with fewer images than shots)."""
        warnings.warn(message, DataWarning, stacklevel=3)

    def skipped(self, images: Iterable[tuple[str, str]]) -> None:
        """A note for each image that could not be read: its name and the reason."""
        for name, reason in images:
            self.note(f"skipped {name}: {reason}")

    def encoding(self, what: str) -> Callable[[int, int], None]:
        """Encoding of `what` begins; the result is called with images done and images in all."""
        return lambda done, total: None

    def training(self, n_epochs: int) -> None:
        """Training begins."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is over."""
