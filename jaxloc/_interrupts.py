"""Ctrl-C and SIGTERM end a command within about two seconds, whatever it is doing.

Python handles a signal once the main thread is back in Python code, and compiling or waiting for another host may take
minutes. Within ``stoppable`` the first signal raises ``Stopped`` in the main thread; if that has not left the block
``GRACE`` seconds later, another thread ends the process. Files are written atomically, so either way is safe.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

GRACE = 2.0
"""Seconds in which the main thread may end by itself."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)

farewells: list[Callable[[], str | None]] = []
"""Called before a stopped process exits; a returned text says that the signal was meant for another process."""

_received: list[int] = []
_deferring = False


class Stopped(KeyboardInterrupt):
    """The process got Ctrl-C or SIGTERM.

    Attributes:
        reason: what to tell instead of the signal, if another process was meant.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.reason: str | None = None

    def say_farewell(self) -> None:
        """Call the ``farewells``."""
        for farewell in farewells:
            self.reason = farewell()


@contextlib.contextmanager
def stoppable(leave: Callable[[Stopped], None]) -> Iterator[None]:
    """Raise ``Stopped`` at the first signal; does nothing outside the main thread.

    If the block does not end in time, another thread calls ``leave``, which ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received.clear()
    ended = threading.Event()
    receiver, sender = socket.socketpair()
    sender.setblocking(False)

    def watch() -> None:
        count = 0
        # The interpreter writes a signal's number at once, whatever the main thread does.
        while data := receiver.recv(1):
            count += data[0] in SIGNALS
            if count > _deferring and not ended.wait(GRACE):
                stopped = Stopped(data[0])
                stopped.say_farewell()
                leave(stopped)

    def ignored(unraisable: "sys.UnraisableHookArgs") -> None:
        # Raised in a finaliser or while collecting garbage, where Python drops it: ``watch`` ends the process.
        if not isinstance(unraisable.exc_value, Stopped):
            before_ignored(unraisable)

    before = {number: signal.signal(number, _handle) for number in SIGNALS}
    before_ignored, sys.unraisablehook = sys.unraisablehook, ignored
    before_fd = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    watcher = threading.Thread(target=watch, name="jaxloc-signals", daemon=True)
    watcher.start()
    try:
        yield
    except Stopped as stopped:
        ended.set()
        stopped.say_farewell()
        raise
    finally:
        ended.set()
        signal.set_wakeup_fd(before_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        sys.unraisablehook = before_ignored
        sender.close()
        watcher.join()
        receiver.close()
        _received.clear()


def _handle(number: int, frame: FrameType | None) -> None:
    first = not _received
    _received.append(number)
    if not _deferring if first else number == signal.SIGINT:
        raise Stopped(number)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold the first signal back until ``check`` or the end of the block; a Ctrl-C after it is raised at once."""
    global _deferring
    _deferring = True
    try:
        yield
    finally:
        _deferring = False
    check()


def check() -> None:
    """Raise ``Stopped`` if a signal is held back."""
    if _received:
        raise Stopped(_received[0])


def take_back() -> None:
    """Handle signals again after a library has set handlers of its own behind Python's back."""
    for number in SIGNALS:
        if signal.getsignal(number) is _handle:
            signal.signal(number, _handle)


def stop() -> None:
    """Stop this process as SIGTERM would, from any thread."""
    os.kill(os.getpid(), signal.SIGTERM)
