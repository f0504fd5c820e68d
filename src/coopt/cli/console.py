"""What the commands share: the two consoles, notes, and JSON output. Nothing here loads a large library."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from coopt.messages import HIDDEN, shown


class SafeConsole(Console):
    """A console on which foreign text (names of files and classes, learned words) is only ever shown.

    Text is printed as it is, without markup, and without what a terminal would obey (`coopt.messages.shown`).
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, soft_wrap=True, markup=False, emoji=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; on standard error nothing is an error, so that work does not end with the terminal that shows it."""
        try:
            super().print(*(shown(o, lines=True) if isinstance(o, str) else o for o in objects), **options)
        except OSError:
            if not self.stderr:
                raise
            self.quiet = True

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The pieces of text that are written, whatever they are a part of."""
        for piece in super().render(renderable, options):
            yield piece if piece.control else Segment(shown(piece.text, lines=True), piece.style)

    def on_broken_pipe(self) -> None:
        """`coopt ... | head`: `main` ends quietly where results cannot be printed; rich would end with 1."""
        raise BrokenPipeError


out = SafeConsole(width=None if getattr(sys.stdout, "isatty", bool)() else 120)
"""Results go to standard output ..."""
err = SafeConsole(stderr=True)
"""... and progress and notes to standard error, so that output can be piped."""


def print_json(value: Any) -> None:
    """One JSON value on standard output; what its encoding cannot hold is escaped, as JSON has it."""
    sys.stdout.write(json_line(value, sys.stdout.encoding))


def json_line(value: Any, encoding: str | None) -> str:
    """A line of JSON that can be written in an encoding."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).translate(_JSON_ESCAPES) + "\n"
    try:
        text.encode(encoding or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False) + "\n"
    return text


_JSON_ESCAPES = {code: f"\\u{code:04x}" for code in HIDDEN if code > 0x1F}
"""What a terminal would obey; JSON has escaped the rest."""


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
            err.print(message)


def show_path(path: Path | str) -> str:
    """A path as the user would type it: relative to here where that is shorter."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
