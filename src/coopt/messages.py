"""What a user should know while work goes on (a file that was skipped, a damaged cache): one way to whoever listens."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
