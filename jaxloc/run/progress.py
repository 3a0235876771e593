"""Progress of a long run: share done, rate, remaining time, and idle share of the device.

A terminal shows bars. In a file (Slurm, ``nohup``, a cloud's log) each bar is a line a minute.
"""

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

import jax
from tqdm import tqdm

_LINES = 60
"""Seconds between two lines in a file."""


class _Log:
    """Standard error for lines instead of a bar: each update starts a new line."""

    def write(self, text: str) -> None:
        if text := text.strip("\r\n "):
            sys.stderr.write(f"{text}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def bar(items: Iterable[Any] | None = None, *, purpose: str, total: int, unit: str, initial: int = 0) -> tqdm:
    """A progress bar in a terminal, or a line a minute elsewhere; ``initial`` of the items were finished before."""
    common = {"desc": purpose, "total": total, "initial": initial, "unit": unit, "leave": False}
    if sys.stderr.isatty():
        return tqdm(items, dynamic_ncols=True, **common)
    line = "{desc}: {n_fmt} of {total_fmt} {unit}s ({percentage:.0f} %), {rate_fmt}, {remaining} to go{postfix}"
    every = {"delay": _LINES, "mininterval": _LINES, "maxinterval": 0, "miniters": 1}
    return tqdm(items, file=_Log(), bar_format=line, **every, **common)


class Progress:
    """A progress bar over images that also shows the device's idle share; bars that take turns share a ``busy``."""

    def __init__(self, purpose: str, total: int, busy: "Busy | None" = None) -> None:
        self._bar = bar(purpose=purpose, total=total, unit="image")
        self._passes = 0
        self.busy = busy or Busy()

    def resume(self) -> None:
        """Start the clock, or restart it after other work, whose time does not count."""
        self._bar.unpause()

    def update(self, images: int = 1) -> None:
        """Count images that are done."""
        passes = [f"{self._passes:,} passes"] if self._passes else []
        idle = [f"device idle {100 * self.busy.idle_share:.0f} %"] if self.busy.any else []
        if passes or idle:
            self._bar.set_postfix_str(", ".join(passes + idle), refresh=False)
        self._bar.update(images)

    def count_passes(self, passes: int) -> None:
        """Count passes of the network that methods have made beside those of their features."""
        self._passes += passes

    def skip(self, images: int) -> None:
        """Count images finished by an earlier call; they do not enter the rate."""
        self._bar.initial += images
        self._bar.last_print_n += images
        self._bar.n += images

    def close(self) -> None:
        """Remove the bar."""
        self.busy.close()
        self._bar.close()


def progress(purpose: str, total: int, busy: "Busy | None" = None) -> contextlib.closing[Progress]:
    """A ``Progress`` that is closed at the end of the block."""
    return contextlib.closing(Progress(purpose, total, busy))


class Busy:
    """Busy time of the device, from when each step was sent and when its result was ready.

    A thread waits for the results.
    """

    def __init__(self) -> None:
        self._steps: queue.SimpleQueue[tuple[float, Any] | None] = queue.SimpleQueue()
        self._busy = 0.0
        self._first: float | None = None
        self._last = 0.0
        self._thread: threading.Thread | None = None

    def sent(self, output: Any) -> None:
        """Note that a step was sent to the device; ``output`` is (part of) its result."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="jaxloc-busy", daemon=True)
            self._thread.start()
        self._steps.put((time.perf_counter(), output))

    @property
    def any(self) -> bool:
        """Whether a step was sent."""
        return self._thread is not None

    @property
    def idle_share(self) -> float:
        """Share of the time since the first step in which the device was idle."""
        if self._first is None or self._last <= self._first:
            return 0.0
        return max(0.0, 1 - self._busy / (self._last - self._first))

    def close(self) -> None:
        """Stop watching."""
        if self._thread is not None:
            self._steps.put(None)
            self._thread.join()
            self._thread = None

    def _watch(self) -> None:
        while (step := self._steps.get()) is not None:
            sent, output = step
            try:
                jax.block_until_ready(output)
            except Exception:  # whoever uses the result will see it
                continue
            del output, step
            now = time.perf_counter()
            if self._first is None:
                self._first = self._last = sent
            self._busy += now - max(sent, self._last)
            self._last = now
