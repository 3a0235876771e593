"""Work ahead of the consumer in threads, with bounded memory."""

import collections
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_NAME = "jaxloc-read"


def read_ahead(function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int) -> Generator[R, None, None]:
    """Map a function over items in threads and yield the results in order, at most ``ahead`` of them waiting.

    Decoders release the interpreter's lock, so images decode while the network runs. Leaving the loop early cancels
    pending work.
    """
    executor = ThreadPoolExecutor(workers, thread_name_prefix=_NAME)
    waiting: collections.deque[Future[R]] = collections.deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Garbage collection may close an abandoned generator in one of its own threads, which cannot wait for itself.
        own = threading.current_thread().name.startswith(_NAME)
        executor.shutdown(wait=not own, cancel_futures=True)
