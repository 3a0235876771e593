"""A profiler trace of a run's first minute of computing.

A folder that cannot be written is refused before any work; later failures are printed and do not stop the run.
"""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
from tqdm import tqdm

from jaxloc._files import check_writable
from jaxloc.errors import UsageError


class _Trace:
    """A trace that starts at the first step and ends after ``seconds``."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder, self._seconds = folder, seconds
        self._began: float | None = None
        self._ended = False

    def step(self) -> None:
        if self._began is None:
            self._began = time.monotonic()
            self._try(lambda: jax.profiler.start_trace(self._folder))
        elif time.monotonic() > self._began + self._seconds:
            self.end()

    def end(self) -> None:
        """Write the trace, once."""
        if self._began is None:
            _say(f"Nothing was computed, so {self._folder} gets no trace.")
        elif not self._ended:
            self._ended = True
            seconds = time.monotonic() - self._began
            if self._try(jax.profiler.stop_trace):
                _say(f"Trace of the first {seconds:.0f} s of computing: {self._folder}")

    def _try(self, call: Callable[[], None]) -> bool:
        """Call the profiler; returns whether it succeeded. A failure ends the trace, not the run."""
        try:
            call()
        except Exception as error:  # the profiler's own, of many kinds
            self._ended = True
            reason = " ".join(str(error).split()) or type(error).__name__
            _say(f"{self._folder}: no trace could be written ({reason}); the run is not harmed.")
            return False
        return True


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


_running: list[_Trace] = []


@contextlib.contextmanager
def traced(folder: Path, seconds: float = 60.0) -> Iterator[None]:
    """Trace a block, from the first step sent to a device, for at most ``seconds``.

    TensorBoard, XProf and Perfetto show the trace. ``UsageError`` if the folder cannot be written.
    """
    made = not folder.exists()
    try:
        check_writable(folder)
    except OSError as error:
        raise UsageError(
            f"{folder}: cannot be written ({error.strerror}): choose another folder with --profile"
        ) from error
    trace = _Trace(folder, seconds)
    _running.append(trace)
    try:
        yield
    finally:
        _running.remove(trace)
        trace.end()
        if made:
            with contextlib.suppress(OSError):  # there is a trace in it
                folder.rmdir()


def step() -> None:
    """Note that a step was sent to the device; a running trace starts, or ends if its time is over."""
    for trace in _running:
        trace.step()
