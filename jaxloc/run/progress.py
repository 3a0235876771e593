"""What a person sees of a long run: how far it is, how fast, how long to go, and how busy the device is."""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
from tqdm import tqdm


class Progress:
    """A progress bar over pictures with the device's idle share beside throughput and remaining time.

    Args:
        purpose: a word for the bar.
        total: pictures to do.
        done: pictures an earlier run has done.
    """

    def __init__(self, purpose: str, total: int, done: int = 0) -> None:
        self._bar = tqdm(
            desc=purpose,
            total=total,
            initial=done,
            unit="picture",
            disable=None,
            leave=False,
            dynamic_ncols=True,
        )
        self.busy = Busy()

    def update(self, pictures: int = 1) -> None:
        """Move on."""
        self._bar.update(pictures)
        if not self._bar.disable and self.busy.any:
            self._bar.set_postfix_str(f"device idle {100 * self.busy.idle_share:.0f} %", refresh=False)

    def close(self) -> None:
        """Take the bar away."""
        self.busy.close()
        self._bar.close()


@contextmanager
def progress(purpose: str, total: int, done: int = 0) -> Iterator[Progress]:
    """A ``Progress`` that is closed however the block ends."""
    shown = Progress(purpose, total, done)
    try:
        yield shown
    finally:
        shown.close()


class Busy:
    """How long the device has worked, from when each step was sent to it and when its result was there.

    A thread of its own waits for results, so that nobody else has to.
    """

    def __init__(self) -> None:
        self._steps: queue.SimpleQueue[tuple[float, Any] | None] = queue.SimpleQueue()
        self._busy = 0.0
        self._first: float | None = None
        self._last = 0.0
        self._thread: threading.Thread | None = None

    def sent(self, output: Any) -> None:
        """A step has been sent to the device; ``output`` is (part of) what it will give."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="jaxloc-busy", daemon=True)
            self._thread.start()
        self._steps.put((time.perf_counter(), output))

    @property
    def any(self) -> bool:
        """Whether a step has been sent."""
        return self._thread is not None

    @property
    def idle_share(self) -> float:
        """Share of the time since the first step in which the device had nothing to do."""
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
                self._first = sent
                self._last = sent
            self._busy += now - max(sent, self._last)
            self._last = now
