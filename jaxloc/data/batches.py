"""Pictures of any size to padded batches of few shapes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Batch(NamedTuple):
    """Pictures of one bucket, zero-padded to its shape.

    Attributes:
        images: uint8 ``[n, rows, columns, 3]``.
        sizes: int32 ``[n, 2]``, valid rows and columns; ``0, 0`` for entries that only fill the batch.
        original_sizes: int32 ``[n, 2]``, rows and columns of the original pictures.
        indices: int64 ``[n]``, the caller's number of each picture; -1 for entries that only fill the batch.
    """

    images: np.ndarray
    sizes: np.ndarray
    original_sizes: np.ndarray
    indices: np.ndarray


class Item(NamedTuple):
    """One decoded picture on its way into a batch: its number, pixels ``[h, w, 3]``, original rows and columns."""

    number: int
    pixels: np.ndarray
    original_size: tuple[int, int]


def make_batches(
    items: Iterable[Item],
    *,
    bucket: Callable[[tuple[int, int]], tuple[int, int]],
    batch: int = 8,
    pixels: int = 1 << 24,
) -> Iterator[Batch]:
    """Group pictures by bucket as they come, and yield each bucket when it is full; the rest at the end.

    Batch sizes are powers of two, so few programs are compiled.

    Args:
        items: pictures, in any order; sorted by bucket, few wait.
        bucket: from a picture's rows and columns to its padded shape, as ``choose_buckets`` makes it.
        batch: pictures in a batch, at most.
        pixels: a batch holds no more than this many padded pixels (but at least one picture), which bounds the
            network's memory.

    Yields:
        ``Batch``.
    """
    waiting: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        shape = bucket((item.pixels.shape[0], item.pixels.shape[1]))
        together = waiting.setdefault(shape, [])
        together.append(item)
        if len(together) >= _capacity(shape[0] * shape[1], batch, pixels):
            yield _pad(waiting.pop(shape), shape)
    for shape, together in sorted(waiting.items()):
        yield _pad(together, shape)


def _capacity(area: int, batch: int, pixels: int) -> int:
    fitting = min(batch, max(1, pixels // area))
    return 1 << (fitting.bit_length() - 1)


def _pad(items: Sequence[Item], shape: tuple[int, int]) -> Batch:
    count = 1 << (len(items) - 1).bit_length()
    images = np.zeros((count, *shape, 3), np.uint8)
    sizes = np.zeros((count, 2), np.int32)
    original_sizes = np.ones((count, 2), np.int32)
    indices = np.full(count, -1, np.int64)
    for position, item in enumerate(items):
        rows, columns = item.pixels.shape[:2]
        images[position, :rows, :columns] = item.pixels
        sizes[position] = rows, columns
        original_sizes[position] = item.original_size
        indices[position] = item.number
    return Batch(images, sizes, original_sizes, indices)
