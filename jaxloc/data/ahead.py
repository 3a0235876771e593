"""Work ahead of the consumer in threads, with bounded memory."""

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def read_ahead(function: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int) -> Generator[R, None, None]:
    """Map a function over items in threads and yield the results in order, at most ``ahead`` of them waiting.

    Decoders release the interpreter's lock, so images decode while the network runs. Leaving the loop early cancels
    pending work.
    """
    executor = ThreadPoolExecutor(workers, thread_name_prefix="jaxloc-read")
    waiting: collections.deque[Future[R]] = collections.deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
