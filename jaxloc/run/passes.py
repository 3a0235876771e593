"""A pass over a run's shards: one batch in flight, so that the device always has work, and stops between batches."""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

import numpy as np

from jaxloc import _interrupts
from jaxloc._interrupts import Interrupted, Terminated
from jaxloc.inference import Extractor, Maps
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.plan import Images, Shard
from jaxloc.run.progress import Progress
from jaxloc.run.stream import Stream

B = TypeVar("B")
R = TypeVar("R")

STOPS = (Interrupted, Terminated)
"""What asks a run to stop between two batches; a ``KeyboardInterrupt`` from elsewhere may leave one half added."""


def in_flight(batches: Iterable[B], launch: Callable[[B], R]) -> Iterator[R]:
    """Launch each batch before the result of the one before it is taken.

    Where the run is asked to stop, what was launched is still yielded.

    Args:
        batches: what to launch.
        launch: sends a batch to the device and returns at once.
    """
    waiting: list[R] = []
    try:
        for batch in batches:
            waiting.append(launch(batch))
            if len(waiting) > 1:
                yield waiting.pop(0)
            _interrupts.check()
    except STOPS:
        yield from waiting
        raise
    yield from waiting


def owners(images: Images, indices: np.ndarray) -> np.ndarray:
    """The set each entry of a batch belongs to, int64 ``[n]``; -1 for entries that only fill it."""
    return np.array([images.set_of(index) if index >= 0 else -1 for index in indices.tolist()])


def shard_features(
    stream: Stream,
    engine: Extractor,
    shard: Shard,
    cache: FeatureCache,
    purpose: str,
    shown: Progress,
    *,
    known: Collection[int] = (),
) -> Iterator[tuple[np.ndarray, np.ndarray, Maps | None]]:
    """Indices, original sizes and features of every batch of a shard: as they were kept, or else computed again.

    Args:
        stream: the run's images.
        engine: the compiled steps.
        shard: which of them.
        cache: features kept by an earlier pass.
        purpose: a word for the progress bar.
        shown: the progress bar.
        known: images whose features nobody needs; batches of these alone come without.
    """
    if shard.number in cache:
        for indices, original_sizes, maps in cache.batches(shard.number):
            _interrupts.check()
            shown.update(int((indices >= 0).sum()))
            yield indices, original_sizes, engine.put(maps)
        return
    for batch in stream.batches(purpose, only=shard.images, bar=shown):
        needed = any(index >= 0 and index not in known for index in batch.indices.tolist())
        yield batch.indices, batch.original_sizes, engine.features(batch) if needed else None
