"""Ctrl-C that is neither lost nor early.

Python raises ``KeyboardInterrupt`` wherever the main thread happens to be. Inside a finaliser or a callback from C the
exception is printed and dropped, and the program goes on. Within ``remembered`` the first Ctrl-C is only noted, and
loops over pictures ask for it with ``check``; a second one interrupts at once.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_requested = threading.Event()


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Note a Ctrl-C until the block ends; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _requested.clear()
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _requested.clear()


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _requested.is_set():
        raise KeyboardInterrupt
    _requested.set()


def check() -> None:
    """Raise ``KeyboardInterrupt`` if Ctrl-C was pressed."""
    if _requested.is_set():
        raise KeyboardInterrupt
