"""The images of a job as padded batches, with each image's size, thumbnail or reason for being skipped."""

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from jaxloc.data import Batch, Buckets, Item, Source, read_image
from jaxloc.data.ahead import read_ahead
from jaxloc.errors import ImageError
from jaxloc.inference import Extractor
from jaxloc.options import NetworkOptions, reading, workers_of
from jaxloc.report.overlays import make_thumbnail
from jaxloc.run import progress
from jaxloc.run.engine import compile_buckets
from jaxloc.run.plan import look_at_sizes, plan_buckets

_FEW, _LARGE, _SMALL = 300, 512, 256
"""Reports of at most ``_FEW`` images have thumbnails of ``_LARGE`` pixels, others of ``_SMALL``."""


@dataclasses.dataclass
class Stream:
    """The images of a job as padded batches, read anew in each pass.

    The first ``thumbnails_wanted`` images keep a thumbnail. ``known_sizes`` are rows and columns of each image by its
    header, int32 ``[n, 2]``, 0 if unknown.

    Attributes:
        skipped: why images were skipped, by number.
        sizes: original rows and columns of the images read, by number.
        notes: what is to be said of images that were read, by number.
    """

    sources: Sequence[Source]
    options: NetworkOptions
    engine: Extractor
    buckets: Buckets
    name: str = "images"
    thumbnails_wanted: int = 0
    known_sizes: np.ndarray | None = None
    skipped: dict[int, str] = dataclasses.field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    thumbnails: dict[int, bytes] = dataclasses.field(default_factory=dict)
    notes: dict[int, str] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = np.zeros((len(self.sources), 2), np.int32)  # unwritten pages take no memory
        self._seen = unknown if self.known_sizes is None else self.known_sizes

    def batches(
        self,
        purpose: str,
        *,
        leave_out: Collection[int] = (),
        only: Iterable[int] | None = None,
        bar: progress.Progress | None = None,
    ) -> Iterator[Batch]:
        """Decode images in threads and yield padded batches, bucket by bucket.

        Images skipped before are not read again. A bar is shown unless one is given. Batches divide evenly over the
        devices; a device's part does not depend on their number.
        """
        wanted = range(len(self.sources)) if only is None else only
        numbers = [number for number in wanted if number not in leave_out and number not in self.skipped]
        order = self.engine.batching.order(numbers, map(tuple, self._look(numbers).tolist()), self.buckets)
        items = self._items(order, purpose, bar)
        yield from self.engine.batching.batches(items, self.buckets, self.engine.devices)

    def forget(self, numbers: Iterable[int]) -> None:
        """Drop the sizes, thumbnails and reasons of images that are done."""
        for number in numbers:
            for known in (self.skipped, self.sizes, self.thumbnails, self.notes):
                known.pop(number, None)

    def _look(self, numbers: list[int]) -> np.ndarray:
        """Rows and columns of images, int32 ``[n, 2]``; each header is read once."""
        unknown = [number for number in numbers if not self._seen[number].any()]
        if unknown:
            self._seen[unknown] = look_at_sizes([self.sources[number] for number in unknown], self.engine, self.options)
        return self._seen[numbers]

    def _items(self, numbers: list[int], purpose: str, bar: progress.Progress | None) -> Iterator[Item]:
        workers = workers_of(self.options)
        ahead = 2 * workers + self.engine.batching.batch * self.engine.devices
        reads: Iterable[tuple[Item, bytes | None] | str] = read_ahead(self._read, numbers, workers=workers, ahead=ahead)
        if bar is None:
            reads = progress.bar(reads, purpose=f"{self.name}: {purpose}", total=len(numbers), unit="image")
        for number, read in zip(numbers, reads, strict=True):
            if bar is not None:
                bar.update()
            if isinstance(read, str):
                self.skipped[number] = read
                continue
            item, thumbnail = read
            self.sizes[number] = item.original_size
            if thumbnail is not None:
                self.thumbnails[number] = thumbnail
            yield item

    def _read(self, number: int) -> tuple[Item, bytes | None] | str:
        """An image and its thumbnail, or why it is skipped."""
        try:
            image = read_image(
                self.sources[number].path, shorter_side=self.options.max_side or None, **reading(self.options)
            )
        except ImageError as error:
            return str(error)
        if image.truncated:
            self.notes[number] = "lacks its last bytes"
        rows, columns = image.pixels.shape[:2]
        if min(rows, columns) < self.engine.minimum_side:
            return (
                f"too small: {columns}×{rows} pixels, {self.engine.layers[0]} needs {self.engine.minimum_side} a side"
            )
        wanted = number < self.thumbnails_wanted and number not in self.thumbnails
        side = _LARGE if min(self.options.report_limit, len(self.sources)) <= _FEW else _SMALL
        return Item(number, image.pixels, image.original_size), make_thumbnail(image.pixels, side) if wanted else None


def open_stream(
    sources: Sequence[Source], engine: Extractor, options: NetworkOptions, *, name: str = "images", thumbnails: int = 0
) -> Stream:
    """Choose the buckets, compile the network for them, and open the images as a stream."""
    buckets, sizes = plan_buckets(sources, engine, options)
    compile_buckets(engine, buckets)
    return Stream(sources, options, engine, buckets, name, thumbnails, sizes)
