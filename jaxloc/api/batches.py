"""The images of one call, read as padded batches."""

import sys
from collections.abc import Iterator
from typing import NamedTuple

from tqdm import tqdm

from jaxloc.data import Batch, Item
from jaxloc.data.ahead import read_ahead
from jaxloc.data.batching import sample
from jaxloc.data.in_memory import Images, InMemoryImages
from jaxloc.errors import UsageError
from jaxloc.inference import Extractor, Maps
from jaxloc.options import NetworkOptions, workers_of
from jaxloc.run.plan import default_shard_size

_WORKERS = workers_of(NetworkOptions())
_SECONDS = 5.0
"""Work that takes longer shows a progress bar."""
_ROOM = 10**9
"""Bytes of images and features that are kept between passes."""


class BatchFeatures(NamedTuple):
    """The number of a shard, a batch of its images, and the features of the batch."""

    shard: int
    batch: Batch
    maps: Maps


class ImageBatches:
    """Images as padded batches for a network, read as often as needed; the network is compiled for their shapes."""

    def __init__(self, images: Images, extractor: Extractor, *, max_side: int) -> None:
        self.images = InMemoryImages(images)
        self._extractor = extractor
        self._limit = max_side or None
        self._kept: list[BatchFeatures] = []
        numbers = range(len(self.images))
        self._sizes = list(read_ahead(self._size, numbers, workers=_WORKERS, ahead=64 * _WORKERS))
        self._buckets = extractor.batching.choose_buckets((self._sizes[i] for i in sample(len(numbers))), len(numbers))
        for _ in extractor.compile(extractor.pending(self._buckets)):
            pass

    def batches(self, purpose: str, *, progress: bool | None = None) -> Iterator[tuple[int, Batch]]:
        """Decode images in threads, and yield each shard's number and its padded batches, bucket by bucket."""
        total, batching, devices = len(self.images), self._extractor.batching, self._extractor.devices
        size = default_shard_size(total)
        with _bar(purpose, total, progress) as bar:
            for number, start in enumerate(range(0, total, size)):
                shard = range(start, min(start + size, total))
                order = batching.order(shard, self._sizes[shard.start : shard.stop], self._buckets)
                items = read_ahead(self._item, order, workers=_WORKERS, ahead=2 * _WORKERS + batching.batch * devices)
                for batch in batching.batches(items, self._buckets, devices):
                    yield number, batch
                    bar.update(int((batch.indices >= 0).sum()))

    def features(self, purpose: str, *, progress: bool | None = None) -> Iterator[BatchFeatures]:
        """Each batch and its features, kept in memory for a later pass if all of them fit into 1 GB."""
        if self._kept:
            yield from self._kept
            return
        kept: list[BatchFeatures] = []
        room = _ROOM
        for shard, batch in self.batches(purpose, progress=progress):
            one = BatchFeatures(shard, batch, self._extractor.features(batch))
            room -= batch.images.nbytes + sum(feature_map.features.nbytes for feature_map in one.maps.values())
            kept = [*kept, one] if room >= 0 else []
            yield one
        self._kept = kept

    def _size(self, number: int) -> tuple[int, int]:
        rows, columns = size = self.images.size(number, shorter_side=self._limit)
        side = self._extractor.minimum_side
        if min(size) < side:
            raise UsageError(
                f"{self.images.where(number)}: {columns}×{rows} pixels are too small, "
                f"{self._extractor.layers[0]} needs {side} a side"
            )
        return size

    def _item(self, number: int) -> Item:
        image = self.images.read(number, shorter_side=self._limit)
        return Item(number, image.pixels, image.original_size)


def _bar(purpose: str, total: int, progress: bool | None) -> tqdm:
    is_watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(
        desc=purpose,
        total=total,
        unit="image",
        leave=False,
        disable=not (is_watched if progress is None else progress),
        delay=0 if progress else _SECONDS,
    )
