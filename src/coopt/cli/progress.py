"""What a fit, an evaluation or a prediction shows while it works."""

import contextlib
from typing import Any

from coopt.cli.console import Lines, err
from coopt.fit.progress import ProgressReporter
from coopt.messages import listening


class ConsoleReporter(Lines, ProgressReporter):
    """Draws progress on standard error, and keeps the notes of the work for the JSON output."""

    def __init__(self, quiet: bool = False) -> None:
        Lines.__init__(self, quiet)
        ProgressReporter.__init__(self, err, quiet)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "ConsoleReporter":
        self._stack.enter_context(self.progress)
        self._stack.enter_context(listening(self.note))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()
