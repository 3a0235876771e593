"""One image set read as batches, with what is learnt of each picture on the way."""

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from jaxloc import _interrupts
from jaxloc.data import Batch, ImageSet, Item, Source, choose_buckets, make_batches, read_picture, read_size
from jaxloc.data.ahead import read_ahead
from jaxloc.errors import ImageError
from jaxloc.report.overlays import make_thumbnail
from jaxloc.run.engine import Engine
from jaxloc.run.options import Reading

_FEW, _LARGE, _SMALL = 300, 512, 256
"""Up to so many pictures, the report can afford large thumbnails."""


class _Read(NamedTuple):
    number: int
    item: Item | None
    thumbnail: bytes | None
    reason: str


@dataclasses.dataclass
class SetStream:
    """The pictures of one set, read as often as a job passes over them.

    Attributes:
        images: the set.
        options: the job's.
        engine: says how batches are made.
        sizes_ahead: int32 ``[n, 2]``, rows and columns of each picture as its header says; 0 if unreadable.
        bucket: from a picture's size to its padded shape.
        thumbnails_left: a thumbnail is kept of the first so many pictures.
        thumbnail_side: its longer side at most, in pixels.
        skipped: reasons, by the picture's number.
        sizes: original rows and columns of the pictures read, by number.
        thumbnails: small JPEGs, by number.
    """

    images: ImageSet
    options: Reading
    engine: Engine
    sizes_ahead: np.ndarray
    bucket: Callable[[tuple[int, int]], tuple[int, int]]
    thumbnails_left: int = 0
    thumbnail_side: int = 256
    skipped: dict[int, str] = dataclasses.field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    thumbnails: dict[int, bytes] = dataclasses.field(default_factory=dict)

    def batches(
        self,
        purpose: str,
        *,
        leave_out: Collection[int] = (),
        only: Iterable[int] | None = None,
        bar: tqdm | None = None,
    ) -> Iterator[Batch]:
        """Decode ahead in threads, and yield padded batches, pictures of one bucket after another.

        Args:
            purpose: a word for the progress bar.
            leave_out: numbers of pictures not to read; those already skipped are left out as well.
            only: numbers of the pictures to read; ``None`` means all.
            bar: a progress bar to move on instead of showing one.
        """
        wanted = range(len(self.images.sources)) if only is None else only
        numbers = [i for i in wanted if i not in leave_out and i not in self.skipped]
        numbers.sort(key=lambda i: (*self.bucket((int(self.sizes_ahead[i, 0]), int(self.sizes_ahead[i, 1]))), i))
        items = self._items(numbers, purpose, bar)
        yield from make_batches(items, bucket=self.bucket, batch=self.engine.batch, pixels=self.engine.pixels)

    def _items(self, numbers: list[int], purpose: str, bar: tqdm | None) -> Iterator[Item]:
        workers = _workers(self.options)
        reads = read_ahead(self._read, numbers, workers=workers, ahead=2 * workers + self.engine.batch)
        if bar is None:
            reads = tqdm(
                reads,
                desc=f"{self.images.name}: {purpose}",
                total=len(numbers),
                unit="picture",
                disable=None,
                leave=False,
                dynamic_ncols=True,
            )
        for read in reads:
            _interrupts.check()
            if bar is not None:
                bar.update()
            if read.item is None:
                self.skipped[read.number] = read.reason
                continue
            self.sizes[read.number] = read.item.original_size
            if read.thumbnail is not None:
                self.thumbnails[read.number] = read.thumbnail
            yield read.item

    def _read(self, index: int) -> _Read:
        source: Source = self.images.sources[index]
        try:
            picture = read_picture(source.path, shorter_side=self.options.max_side or None)
        except ImageError as error:
            return _Read(index, None, None, str(error))
        rows, columns = picture.pixels.shape[:2]
        if min(rows, columns) < self.engine.minimum_side:
            reason = (
                f"too small: {columns}×{rows} pixels, {self.engine.layers[0]} needs {self.engine.minimum_side} a side"
            )
            return _Read(index, None, None, reason)
        wanted = index < self.thumbnails_left and index not in self.thumbnails
        thumbnail = make_thumbnail(picture.pixels, self.thumbnail_side) if wanted else None
        return _Read(index, Item(index, picture.pixels, picture.original_size), thumbnail, "")


def _workers(options: Reading) -> int:
    return options.workers or min(8, os.cpu_count() or 1)


def open_streams(sets: Sequence[ImageSet], engine: Engine, options: Reading) -> Iterator[SetStream]:
    """Look at every picture's header, choose the buckets of the whole job, and yield each set as a stream.

    Args:
        sets: the job's.
        engine: says how many buckets there may be.
        options: the job's.
    """
    number = sum(len(images.sources) for images in sets)
    with tqdm(total=number, desc="looking at sizes", unit="picture", disable=None, leave=False) as bar:
        ahead = [look_at_sizes(images.sources, engine, options, bar) for images in sets]
    bucket = choose_buckets(count_sizes(ahead), limit=engine.buckets, step=engine.step)
    thumbnails_left = options.report_limit
    side = _LARGE if min(options.report_limit, number) <= _FEW else _SMALL
    for images, sizes in zip(sets, ahead, strict=True):
        stream = SetStream(images, options, engine, sizes, bucket, thumbnails_left, side)
        yield stream
        thumbnails_left -= len(stream.thumbnails)


def look_at_sizes(sources: Sequence[Source], engine: Engine, options: Reading, bar: tqdm) -> np.ndarray:
    """Rows and columns of each picture as its header says, int32 ``[n, 2]``; 0 if unreadable or too small.

    Args:
        sources: the pictures.
        engine: says which are too small.
        options: the job's.
        bar: a progress bar to move on.
    """
    sizes = np.zeros((len(sources), 2), np.int32)

    def look(source: Source) -> tuple[int, int] | None:
        return read_size(source.path, shorter_side=options.max_side or None)

    workers = _workers(options)
    for number, size in enumerate(read_ahead(look, sources, workers=workers, ahead=64 * workers)):
        _interrupts.check()
        bar.update()
        if size is not None and min(size) >= engine.minimum_side:
            sizes[number] = size
    return sizes


def count_sizes(sizes: Iterable[np.ndarray]) -> dict[tuple[int, int], int]:
    """How many pictures there are of each size, without those of no size."""
    counts: Counter[tuple[int, int]] = Counter()
    for some in sizes:
        counts.update((int(rows), int(columns)) for rows, columns in some if rows)
    return dict(counts)
