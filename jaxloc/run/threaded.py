"""Work on many images in threads, with a progress bar."""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TypeVar

from jaxloc.data.ahead import read_ahead
from jaxloc.report.exports.job import Work
from jaxloc.run.progress import progress

T = TypeVar("T")
R = TypeVar("R")


@contextlib.contextmanager
def threaded() -> Iterator[Work]:
    """Yield a function that maps work over items in threads, which end with the block."""
    with contextlib.ExitStack() as begun:

        def work(purpose: str, function: Callable[[T], R], items: Sequence[T], *, threads: bool = True) -> Iterator[R]:
            return begun.enter_context(contextlib.closing(_results(purpose, function, items, threads)))

        yield work


def _results(purpose: str, function: Callable[[T], R], items: Sequence[T], threads: bool) -> Generator[R, None, None]:
    workers = min(os.cpu_count() or 1, 16)  # more would only wait for the disk
    made: Generator[R, None, None] = (function(item) for item in items)
    if threads:
        made = read_ahead(function, items, workers=workers, ahead=2 * workers)
    with progress(purpose, len(items)) as shown, contextlib.closing(made):
        for result in made:
            shown.update()
            yield result
