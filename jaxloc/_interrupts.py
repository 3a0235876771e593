"""Ctrl-C and SIGTERM that are neither lost nor early.

Python raises ``KeyboardInterrupt`` wherever the main thread happens to be. Inside a finaliser or a callback from C the
exception is printed and dropped, and the program goes on. Within ``remembered`` the first signal is only noted, and
loops over images ask for it with ``check``; a second Ctrl-C interrupts at once. Work that never comes to Python, such
as waiting for another host, is given to ``attended``.
"""

import concurrent.futures
import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

_SECONDS = 0.2
"""Between two looks at what was asked while other work goes on."""

_BY_OTHERS = 0
"""In place of a signal's number."""

_requested: list[int] = []
_leaving: list[Callable[[bool], None]] = []


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
    except (Interrupted, Terminated):
        for call in _leaving:
            call(any(_requested))
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _requested.clear()


def _note(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and _requested:
        raise KeyboardInterrupt
    _requested.append(number)


def take_back() -> None:
    """Within ``remembered``, note signals again after a library has set handlers of its own behind Python's back."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is _note:
            signal.signal(number, _note)


def request() -> None:
    """Ask this process to end in the place of a signal, from any thread."""
    _requested.append(_BY_OTHERS)


def on_leaving(call: Callable[[bool], None]) -> None:
    """Have a function called when the process stops because it was asked to, after everything is written.

    Args:
        call: is given whether a signal came to this very process; what it raises is raised instead.
    """
    _leaving.append(call)


def check() -> None:
    """Raise ``Interrupted`` if Ctrl-C was pressed, ``Terminated`` if the process was asked to end."""
    if _requested:
        raise Interrupted if _requested[0] == signal.SIGINT else Terminated


def checked(items: Iterable[T]) -> Iterator[T]:
    """The items as they come, with a ``check`` before each."""
    for item in items:
        check()
        yield item


def attended(work: Callable[[], T], *, seconds: float = math.inf) -> T:
    """The result of work that cannot be stopped: it is left behind, in a thread, where the process is asked to stop.

    Args:
        work: may wait for long; what it would change when it is left behind must not matter.
        seconds: after which it is left behind in any case.

    Raises:
        TimeoutError: it took longer.
    """
    check()
    result: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # whatever it is, it is raised where the result is asked for
            result.set_exception(error)

    threading.Thread(target=run, name="jaxloc-attended", daemon=True).start()
    end = time.monotonic() + seconds
    while not concurrent.futures.wait([result], _SECONDS).done:
        check()
        if time.monotonic() > end:
            raise TimeoutError
    return result.result()
