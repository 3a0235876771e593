"""A trace of a run's first minute of computing: what to look at when it is slow, however long the run is."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
from tqdm import tqdm

_SECONDS = 60.0


class _Trace:
    """A trace that begins with the first step and ends by itself."""

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._began: float | None = None
        self._ended = False

    def step(self) -> None:
        """Something was sent to the device."""
        if self._began is None:
            jax.profiler.start_trace(self._folder)
            self._began = time.monotonic()
        elif time.monotonic() > self._began + self._seconds:
            self.end()

    def end(self) -> None:
        """Write what there is, once."""
        if self._began is None:
            tqdm.write(f"Nothing was computed, so {self._folder} gets no trace.", file=sys.stderr)
        elif not self._ended:
            self._ended = True
            jax.profiler.stop_trace()
            seconds = time.monotonic() - self._began
            tqdm.write(f"Trace of the first {seconds:.0f} s of computing: {self._folder}", file=sys.stderr)


_running: list[_Trace] = []


@contextlib.contextmanager
def traced(folder: Path, seconds: float = _SECONDS) -> Iterator[None]:
    """Trace a block, from the first step that is sent to a device on and for so many seconds at most.

    Args:
        folder: for the trace, which TensorBoard, XProf and Perfetto show.
        seconds: how long.
    """
    trace = _Trace(folder, seconds)
    _running.append(trace)
    try:
        yield
    finally:
        _running.remove(trace)
        trace.end()


def step() -> None:
    """Something was sent to the device; a trace that is wanted begins, or ends when its time is over."""
    for trace in _running:
        trace.step()
