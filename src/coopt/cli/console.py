"""What the commands share: consoles, progress, notes and JSON output."""

import contextlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from coopt.fit.progress import ProgressReporter
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


class ConsoleReporter(Lines, ProgressReporter):
    """Draws progress on standard error, and keeps the notes."""

    def __init__(self, quiet: bool = False) -> None:
        Lines.__init__(self, quiet)
        ProgressReporter.__init__(self, err, quiet)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "ConsoleReporter":
        super().__enter__()
        self._stack.enter_context(listening(self.note))
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()
        super().__exit__(*error)

    def skipped(self, images: Iterable[tuple[str, str]]) -> None:
        """A note for each image that could not be read: its name and the reason."""
        for name, reason in images:
            self.note(f"skipped {name}: {reason}")


def show_path(path: Path | str) -> str:
    """A path as the user would type it: relative to here where that is shorter."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
