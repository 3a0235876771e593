"""How the same is done with many images: in turn here; a job puts threads and a progress bar in its place."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from jaxloc.data.annotations import Annotated, Problem

T = TypeVar("T")
R = TypeVar("R")


class Work(Protocol):
    """Maps a function over items and gives the results in their order."""

    def __call__(
        self, purpose: str, function: Callable[[T], R], items: Sequence[T], *, threads: bool = True
    ) -> Iterator[R]:
        """Map.

        Args:
            purpose: a word for a progress bar.
            function: called once for each item; may be called in several threads at a time.
            items: its arguments.
            threads: whether the function reads or writes files, or works long, so that threads are worth their cost.
        """


def in_turn(purpose: str, function: Callable[[T], R], items: Sequence[T], *, threads: bool = True) -> Iterator[R]:
    """One item after another, when its result is asked for."""
    return map(function, items)


def each(
    work: Work,
    purpose: str,
    function: Callable[[Annotated, list[Problem]], R],
    images: Sequence[Annotated],
    found: list[Problem],
    *,
    threads: bool = True,
) -> Iterator[tuple[Annotated, R]]:
    """Map a function that reports problems over images.

    Args:
        work: how.
        purpose: as for ``Work``.
        function: of an image, and a list that takes up what is wrong with it.
        images: the images.
        found: takes up all that was wrong, in the order of the images.
        threads: as for ``Work``.

    Yields:
        each image and its result.
    """

    def call(image: Annotated) -> tuple[Annotated, R, list[Problem]]:
        own: list[Problem] = []
        return image, function(image, own), own

    for image, result, own in work(purpose, call, images, threads=threads):
        found.extend(own)
        yield image, result
