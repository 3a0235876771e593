"""Labelled images as training reads them: in planned batches of few shapes, so that any step can be repeated."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxloc.data import Source, choose_buckets, find_sets, read_image, read_size
from jaxloc.data.ahead import read_ahead
from jaxloc.errors import ImageError, UsageError
from jaxloc.run.progress import bar

_BUCKETS, _STEP = 4, 32
"""Few shapes: each costs a compilation of the whole training step."""


class LabelledBatch(NamedTuple):
    """Images of one bucket, zero-padded to its shape.

    Attributes:
        images: uint8 ``[n, rows, columns, 3]``.
        sizes: int32 ``[n, 2]``, valid rows and columns; 0 for entries that only fill the batch.
        targets: int32 ``[n]``, numbers of classes.
        counted: bool ``[n]``, False for entries that only fill the batch.
    """

    images: np.ndarray
    sizes: np.ndarray
    targets: np.ndarray
    counted: np.ndarray


class LabelledImages:
    """Images with a class each.

    Attributes:
        sources: the images that can be used, in order of name.
        targets: int32 ``[n]``, the number of each one's class.
        classes: names, in order.
        skipped: reasons, by the name of the image.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        labels: Mapping[str, str] | None = None,
        *,
        minimum_side: int,
        max_side: int,
        workers: int | None = None,
        exclude: Sequence[Path] = (),
    ) -> None:
        """Find the images and look at their headers.

        Args:
            paths: folders, images, or text files of paths.
            labels: class by the image's name (relative to the folder given); ``None`` takes the sub-folder's name.
            minimum_side: images with a shorter side are skipped.
            max_side: images whose shorter side is longer are shrunk to it; 0 never shrinks.
            workers: threads that decode; ``None`` chooses.
            exclude: folders left out of the search.

        Raises:
            UsageError: an image without label, or fewer than two classes with usable images.
        """
        self._limit = max_side or None
        self._workers = workers or min(8, os.cpu_count() or 1)
        found = sorted(_with_labels(paths, labels, exclude), key=lambda pair: pair[0].name)
        sizes = list(self._look([source for source, _ in found]))
        usable = [size is not None and min(size) >= minimum_side for size in sizes]
        self.skipped = {
            source.name: self._reason(source, size, minimum_side)
            for (source, _), size, good in zip(found, sizes, usable, strict=True)
            if not good
        }
        kept = [pair for pair, good in zip(found, usable, strict=True) if good]
        self.sources = [source for source, _ in kept]
        self.classes = tuple(sorted({label for _, label in kept}))
        if len(self.classes) < 2:
            known = f"only of {self.classes[0]!r}" if self.classes else "of no class"
            raise UsageError(
                f"there are usable images {known}, and telling classes apart needs two: "
                "pass a folder with one sub-folder of images for each class"
            )
        self.targets = np.array([self.classes.index(label) for _, label in kept], np.int32)
        self._sizes = [size for size, good in zip(sizes, usable, strict=True) if size is not None and good]
        self._bucket = choose_buckets(Counter(sorted(self._sizes)), limit=_BUCKETS, step=_STEP)

    def fingerprint(self) -> str:
        """SHA-256 over names, classes and file sizes: whether a training goes on with the images it began with."""
        listed = [
            (source.name, self.classes[target], source.file.stat().st_size)
            for source, target in zip(self.sources, self.targets, strict=True)
        ]
        return hashlib.sha256(json.dumps(listed).encode()).hexdigest()

    def plan(self, numbers: np.ndarray, batch: int) -> list[list[int]]:
        """Group images of one bucket into batches, in the order given; what is left over comes last.

        Args:
            numbers: int ``[n]``, which images, in which order.
            batch: images in a batch.
        """
        waiting: dict[tuple[int, int], list[int]] = {}
        full = []
        for number in map(int, numbers):
            shape = self._bucket(self._sizes[number])
            together = waiting.setdefault(shape, [])
            together.append(number)
            if len(together) == batch:
                full.append(waiting.pop(shape))
        return full + [together for _, together in sorted(waiting.items())]

    def batches(
        self, plan: Sequence[Sequence[int]], batch: int, *, flipped: Callable[[int], bool] = lambda _: False
    ) -> Iterator[LabelledBatch]:
        """Decode ahead in threads, and yield the batches of a plan, each filled up to the same number of entries.

        Args:
            plan: from ``plan``, or the rest of one.
            batch: entries of a batch.
            flipped: whether to mirror an image, left to right, by its number.
        """

        def read(number: int) -> np.ndarray | str:
            try:
                pixels = read_image(self.sources[number].path, shorter_side=self._limit).pixels
            except ImageError as error:
                return str(error)
            if pixels.shape[:2] != self._sizes[number]:
                return "its header says another size than it has"
            return pixels[:, ::-1] if flipped(number) else pixels

        numbers = [number for together in plan for number in together]
        photos = read_ahead(read, numbers, workers=self._workers, ahead=2 * batch + self._workers)
        for together in plan:
            rows, columns = self._bucket(self._sizes[together[0]])
            images = np.zeros((batch, rows, columns, 3), np.uint8)
            sizes, targets, counted = np.zeros((batch, 2), np.int32), np.zeros(batch, np.int32), np.zeros(batch, bool)
            for position, number in enumerate(together):
                pixels = next(photos)
                if isinstance(pixels, str):
                    self.skipped[self.sources[number].name] = pixels
                    continue
                images[position, : pixels.shape[0], : pixels.shape[1]] = pixels
                sizes[position] = pixels.shape[:2]
                targets[position], counted[position] = self.targets[number], True
            yield LabelledBatch(images, sizes, targets, counted)

    def _look(self, sources: Sequence[Source]) -> Iterator[tuple[int, int] | None]:
        def look(source: Source) -> tuple[int, int] | None:
            return read_size(source.path, shorter_side=self._limit)

        seen = read_ahead(look, sources, workers=self._workers, ahead=64 * self._workers)
        yield from bar(seen, purpose="looking at sizes", total=len(sources), unit="image")

    def _reason(self, source: Source, size: tuple[int, int] | None, minimum_side: int) -> str:
        if size is not None:
            return f"too small: {size[1]}×{size[0]} pixels, and {minimum_side} a side are needed"
        try:
            read_image(source.path)
        except ImageError as error:
            return str(error)
        return "its size cannot be read from its header"


def _with_labels(
    paths: Sequence[str | os.PathLike[str]], labels: Mapping[str, str] | None, exclude: Sequence[Path]
) -> Iterator[tuple[Source, str]]:
    sets = find_sets(paths, per_folder=labels is None, exclude=exclude)
    names = [source.name for images in sets for source in images.sources]
    missing = [] if labels is None else [name for name in names if name not in labels]
    if missing:
        first = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise UsageError(f"no label for {first}: add it, or leave the image out")
    for images in sets:
        for source in images.sources:
            yield source, images.name if labels is None else labels[source.name]
