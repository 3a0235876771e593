"""One export as its writer sees it: the images, the folder, and a loop over the images that collects problems."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jaxloc.data.annotations import Annotated, Problem
from jaxloc.report.exports.placement import Placement, place

R = TypeVar("R")
Work = Callable[..., Iterator[Any]]
"""``work(purpose, function, items, threads=True)`` maps a function over items, in order; the purpose is the title of a
progress bar, and without ``threads`` the function is too quick to be worth threads."""


def in_turn(purpose: str, function: Callable[[Any], R], items: Sequence[Any], *, threads: bool = True) -> Iterator[R]:
    """Map without threads or progress, each item when its result is asked for."""
    return map(function, items)


@dataclasses.dataclass(frozen=True)
class Job:
    """One export.

    Attributes:
        folder: an empty folder that the writer fills.
        images: with safe names and, unless the format does without, known sizes.
        categories: the classes in the order of their numbers.
        problems: collects what is wrong with images and masks.
        placement: how images are put beside their annotations.
        work: maps a function over the images; results do not depend on it.
        numbers: of the classes, for a format that keeps the source's; else they are numbered in order.
    """

    folder: Path
    images: Sequence[Annotated]
    categories: Sequence[str]
    problems: list[Problem] = dataclasses.field(default_factory=list)
    placement: Placement = "link"
    work: Work = in_turn
    numbers: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def each(
        self,
        purpose: str,
        function: Callable[[Annotated, list[Problem]], R],
        images: Sequence[Annotated] | None = None,
        *,
        threads: bool = True,
    ) -> Iterator[tuple[Annotated, R]]:
        """Map a function over images (all by default) and yield each with its result, in order.

        The function's second argument collects the image's problems, which are added to ``problems``.
        """

        def call(image: Annotated) -> tuple[Annotated, R, list[Problem]]:
            own: list[Problem] = []
            return image, function(image, own), own

        for image, result, own in self.work(purpose, call, self.images if images is None else images, threads=threads):
            self.problems.extend(own)
            yield image, result

    def written(self, purpose: str, write_one: Callable[[Annotated, list[Problem]], bool]) -> list[Annotated]:
        """Call ``write_one`` for each image and return those for which it is true."""
        return [image for image, done in self.each(purpose, write_one) if done]

    def place(self, image: Annotated, folder: str, problems: list[Problem], *, jpeg: bool = False) -> bool:
        """Put an image into a folder below the job's, if asked as a JPEG; false if it cannot be read."""
        return place(image, self.folder / folder / image.name, self.placement, problems, jpeg=jpeg)

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file below the job's folder."""
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)


def by_split(images: Iterable[Annotated], default: str = "") -> dict[str, list[Annotated]]:
    """The images of each split, sorted by the split's name; ``default`` is the split of images without one."""
    splits: dict[str, list[Annotated]] = {}
    for image in images:
        for split in image.splits or (default,):
            splits.setdefault(split, []).append(image)
    return dict(sorted(splits.items()))
