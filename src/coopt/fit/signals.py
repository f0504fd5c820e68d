"""Asking long work to stop: Ctrl-C, a termination signal, a terminal that was closed."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The terminal was closed; Windows has no such signal."""
SIGNALS = [number for number in (signal.SIGINT, signal.SIGTERM, HANG_UP) if number is not None]
"""What asks to stop."""
_active: list[threading.Event] = []
"""The events of all work that goes on, the outermost first: a training inside a benchmark stops both."""


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that `SIGNALS` set, so that no step and no record is cut in two; a second one stops at once.

    Python may ignore an exception that is raised in a destructor or callback; the event is set there too.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # signals reach the main thread only
        return

    if any(outer.is_set() for outer in _active):
        stop.set()  # the signal came before this work began

    def ask(number: int, frame: Any) -> None:
        if stop.is_set() and number != HANG_UP:  # a terminal that closes may send two SIGHUP
            raise KeyboardInterrupt
        for event in _active:
            event.set()

    # `nohup` starts a process that ignores SIGHUP, and it stays so.
    ignored = {number for number in SIGNALS if signal.getsignal(number) == signal.SIG_IGN} - {signal.SIGINT}
    before = {number: signal.signal(number, ask) for number in SIGNALS if number not in ignored}
    _active.append(stop)
    try:
        yield stop
    finally:
        _active.remove(stop)
        for number, handler in before.items():
            signal.signal(number, handler)
