"""The plan of a run: windows of image sets, shards of images, padded shapes.

A plan depends on the images and the options alone, not on devices, hosts or earlier calls, so the bytes of a run do not
either.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxloc.data import Buckets, ImageSet, Source, read_size
from jaxloc.data.ahead import read_ahead
from jaxloc.data.batching import sample
from jaxloc.inference import Extractor
from jaxloc.options import NetworkOptions, workers_of
from jaxloc.run import progress

_SHARDS, _SMALLEST, _LARGEST = 16, 64, 1024
"""Target number of shards; minimum and maximum number of images in a shard."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """Images, by their numbers in the run, that are computed and written together."""

    number: int
    images: range


@dataclasses.dataclass(frozen=True)
class Window:
    """Consecutive image sets, by number, that are fitted together, and the shards of their images."""

    number: int
    sets: range
    shards: tuple[Shard, ...]


class Images(Sequence[Source]):
    """All images of a run, set after set, by number; sets are in order of name."""

    def __init__(self, sets: Sequence[ImageSet]) -> None:
        self.sets = sets
        self.starts = [0, *itertools.accumulate(len(images.sources) for images in sets)]

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, number: int) -> Source:  # type: ignore[override]  # nobody takes slices
        if not 0 <= number < len(self):
            raise IndexError(number)
        which = self.set_of(number)
        return self.sets[which].sources[number - self.starts[which]]

    def set_of(self, number: int) -> int:
        """The set an image belongs to."""
        return bisect.bisect_right(self.starts, number) - 1


def make_windows(images: Images, *, sets_together: int, shard_size: int | None, pooled: int = 0) -> list[Window]:
    """Divide a run into windows of ``sets_together`` sets, and each window into shards; ``None`` chooses their size.

    The last ``pooled`` sets are one window, with those before them that fit in.
    """
    size = shard_size or default_shard_size(len(images))
    windows: list[Window] = []
    shards = 0
    own = len(images.sets) - pooled + (pooled > 0)  # pooled sets are fitted as one
    for number, first in enumerate(range(0, own, sets_together)):
        stop = first + sets_together
        sets = range(first, stop if stop < own else len(images.sets))
        start, stop = images.starts[sets.start], images.starts[sets.stop]
        cut = [range(begin, min(begin + size, stop)) for begin in range(start, stop, size)]
        windows.append(Window(number, sets, tuple(Shard(shards + i, some) for i, some in enumerate(cut))))
        shards += len(cut)
    return windows


def default_shard_size(number: int) -> int:
    """Number of images in a shard: a power of two from 64 to 1,024 that gives about 16 shards."""
    wanted = max(1, -(-number // _SHARDS))
    return min(max(1 << (wanted - 1).bit_length(), _SMALLEST), _LARGEST)


def look_at_sizes(
    sources: Sequence[Source], engine: Extractor, options: NetworkOptions, *, shown: bool = False
) -> np.ndarray:
    """Rows and columns of each image as its header says, int32 ``[n, 2]``; 0 if unreadable or too small."""
    sizes = read_sizes(sources, max_side=options.max_side, workers=workers_of(options), shown=shown)
    sizes[sizes.min(1) < engine.minimum_side] = 0
    return sizes


def read_sizes(sources: Sequence[Source], *, max_side: int, workers: int, shown: bool) -> np.ndarray:
    """Rows and columns of each image as its header says, shrunk to ``max_side``, int32 ``[n, 2]``; 0 if unreadable."""

    def read(source: Source) -> tuple[int, int]:
        return read_size(source.path, shorter_side=max_side or None) or (0, 0)

    sizes: Iterable[tuple[int, int]] = read_ahead(read, sources, workers=workers, ahead=64 * workers)
    if shown:
        sizes = progress.bar(sizes, purpose="looking at sizes", total=len(sources), unit="image")
    return np.fromiter(sizes, np.dtype((np.int32, 2)), len(sources))


def plan_buckets(sources: Sequence[Source], engine: Extractor, options: NetworkOptions) -> tuple[Buckets, np.ndarray]:
    """Padded shapes for images, chosen from the sizes of an evenly spread sample of them.

    Returns:
        the shapes; and rows and columns of each image of the sample, int32 ``[n, 2]``, 0 for the others.
    """
    numbers = sample(len(sources))
    sizes = look_at_sizes([sources[number] for number in numbers], engine, options, shown=True)
    known = np.zeros((len(sources), 2), np.int32)  # untouched pages of it take no memory
    known[numbers] = sizes
    return engine.batching.choose_buckets(map(tuple, sizes.tolist()), len(sources)), known


def buckets_to_json(buckets: Buckets) -> dict[str, Any]:
    """Buckets as plain JSON values."""
    shapes = [[*shape, count] for shape, count in sorted(buckets.counts.items())]
    return {"step": buckets.step, "padding": round(buckets.padding, 4), "shapes": shapes}


def buckets_from_json(kept: dict[str, Any]) -> Buckets:
    """The inverse of ``buckets_to_json``."""
    counts = {(int(rows), int(columns)): int(count) for rows, columns, count in kept["shapes"]}
    return Buckets(counts, int(kept["step"]), float(kept["padding"]))
