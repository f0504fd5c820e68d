"""What a user is told: one way for messages to whoever listens, and one way in which foreign text is shown."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

HIDDEN = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Characters that a terminal obeys in place of showing them: control bytes, line separators, changes of direction."""
_ESCAPES: dict[int, str] = {code: repr(chr(code))[1:-1] for code in HIDDEN}
_ESCAPES |= {code: f"\\u{code:04x}" for code in range(0xD800, 0xE000)}
_ESCAPES |= {code: f"\\x{code - 0xDC00:02x}" for code in range(0xDC80, 0xDD00)}  # bytes of a file name that is no text

_listener: ContextVar[Callable[[str], None] | None] = ContextVar("listener", default=None)
_on_command_line: ContextVar[bool] = ContextVar("on_command_line", default=False)


def tell(message: str, category: type[Warning] = UserWarning, stacklevel: int = 2) -> None:
    """Pass a message to the listener of this context; a warning where nobody listens."""
    listener = _listener.get()
    if listener is None:
        warnings.warn(message, category, stacklevel=stacklevel + 1)
    else:
        listener(message)


@contextmanager
def listening(listener: Callable[[str], None]) -> Iterator[None]:
    """Messages of the work within go to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def option(flag: str, parameter: str) -> str:
    """What a message calls a setting: the option of a command, or the parameter in Python."""
    return flag if is_command_line() else parameter


def is_command_line() -> bool:
    """Whether a command runs."""
    return _on_command_line.get()


@contextmanager
def command_line() -> Iterator[None]:
    """Messages of the work within name the options of commands."""
    token = _on_command_line.set(True)
    try:
        yield
    finally:
        _on_command_line.reset(token)


def shown(text: object, lines: bool = False) -> str:
    r"""Text of any source as it may be printed: what a terminal would obey, and what is no text, as `\x1b`, `\xe9`.

    Args:
        text: a name of a file, a class or a word, or a message with such names in it.
        lines: leave line breaks as they are.
    """
    text = str(text)
    if lines:
        return "\n".join(shown(line) for line in text.split("\n"))
    return text if text.isprintable() else text.translate(_ESCAPES)
