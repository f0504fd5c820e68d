"""The process's own streams and Ctrl-C, as the commands need them. Nothing here loads a library."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


def open_streams() -> None:
    """Make the standard streams writable: closed ones lead nowhere, and what their encoding lacks is escaped."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - for the whole process
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def silence(stream: Any) -> None:
    """Drop what a stream still holds: Python would try to write it at the end of the process, and complain."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a file of its own
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, stream.fileno())
        os.close(handle)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, except while a library is being imported: then it ends the process at once.

    An exception in the middle of an import may be swallowed or wrapped by whatever imports, and nothing is lost yet.
    """
    usable = threading.current_thread() is threading.main_thread()
    if not usable or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # signals reach the main thread only; a handler of the caller's stays
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            with contextlib.suppress(OSError):
                os.write(2, b"Interrupted.\n")
            os._exit(130)
        frame = frame.f_back
    raise KeyboardInterrupt
