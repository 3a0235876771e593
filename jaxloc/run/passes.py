"""A pass over a run's shards: what the passes share, one batch in flight, and the features of a shard."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from jaxloc.inference import Maps
from jaxloc.run import distributed
from jaxloc.run.checkpoint import Checkpoint, Kind
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.plan import Images, Shard, Window
from jaxloc.run.progress import Progress
from jaxloc.run.steps import Steps
from jaxloc.run.stream import Stream

B = TypeVar("B")
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Context:
    """What the passes of a run share.

    Attributes:
        cache: keeps features from one pass to the next.
        pooled: number of sets, the last of the run, that are located with a model of the images of all sets.
    """

    images: Images
    stream: Stream
    steps: Steps
    checkpoint: Checkpoint
    cache: FeatureCache
    folder: Path
    pooled: int = 0

    def owners(self, indices: np.ndarray) -> np.ndarray:
        """The set of each entry of a batch, int64 ``[n]``; -1 for entries that only fill it."""
        return np.array([self.images.set_of(index) if index >= 0 else -1 for index in indices.tolist()])

    @property
    def first_pooled(self) -> int:
        """Number of the first pooled set, with which the others are summed; that of no set if none is pooled."""
        return len(self.images.sets) - self.pooled


class Features(NamedTuple):
    """Features of a batch on the devices, and as in ``Batch`` its numbers, sizes and pixels, if these were read."""

    indices: np.ndarray
    original_sizes: np.ndarray
    maps: Maps
    pixels: np.ndarray | None = None
    sizes: np.ndarray | None = None

    def original(self, position: int) -> np.ndarray | None:
        """Pixels of a whole image ``[h, w, 3]``; ``None`` if it was shrunk, or not read."""
        if self.pixels is None or self.sizes is None:
            return None
        rows, columns = self.sizes[position]
        whole = (self.sizes[position] == self.original_sizes[position]).all()
        return self.pixels[position, :rows, :columns] if whole else None


def mine(window: Window) -> list[Shard]:
    """This host's shards of a window."""
    return [shard for shard in window.shards if shard.number % distributed.count() == distributed.index()]


def over_shards(
    context: Context, window: Window, kind: Kind, work: Callable[[Shard, Path], None], shown: Progress
) -> None:
    """Let ``work`` process this host's shards of a window and write their files, except those that exist."""
    for shard in mine(window):
        path = context.checkpoint.file(kind, shard.number)
        if path.exists():
            shown.skip(len(shard.images))
        else:
            work(shard, path)


def in_flight(batches: Iterable[B], launch: Callable[[B], R]) -> Iterator[R]:
    """Launch each batch before fetching the result of the previous one, so that the device always has work."""
    waiting: list[R] = []
    for batch in batches:
        waiting.append(launch(batch))
        if len(waiting) > 1:
            yield waiting.pop(0)
    yield from waiting


def shard_features(context: Context, shard: Shard, purpose: str, shown: Progress) -> Iterator[Features]:
    """Features of every batch of a shard: from the cache if an earlier pass kept them, else computed."""
    steps = context.steps
    if shard.number in context.cache:
        for indices, original_sizes, maps in context.cache.batches(shard.number):
            shown.update(int((indices >= 0).sum()))
            yield Features(indices, original_sizes, steps.put(maps))
        return
    for batch in context.stream.batches(purpose, only=shard.images, bar=shown):
        yield Features(batch.indices, batch.original_sizes, steps.features(batch), batch.images, batch.sizes)
