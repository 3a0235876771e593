"""Ctrl-C and SIGTERM that are neither lost nor early.

Python raises ``KeyboardInterrupt`` wherever the main thread happens to be. Inside a finaliser or a callback from C the
exception is printed and dropped, and the program goes on. Within ``remembered`` the first signal is only noted, and
loops over pictures ask for it with ``check``; a second Ctrl-C interrupts at once.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_requested: list[int] = []


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, noticed at a place where nothing is half done."""


class Terminated(BaseException):
    """The process was asked to end (SIGTERM), as clouds do some seconds before they take a machine away."""


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Note a Ctrl-C or SIGTERM until the block ends; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _requested.clear()
    before = {number: signal.signal(number, _note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _requested.clear()


def _note(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and _requested:
        raise KeyboardInterrupt
    _requested.append(number)


def check() -> None:
    """Raise ``Interrupted`` if Ctrl-C was pressed, ``Terminated`` if the process was asked to end."""
    if _requested:
        raise Interrupted if _requested[0] == signal.SIGINT else Terminated
