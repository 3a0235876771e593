"""Images of any size to padded batches of few shapes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

_WORTH_FILLING = 0.75
"""A batch less full than this is slower than its images one by one."""


class Batch(NamedTuple):
    """Images of one bucket, zero-padded to its shape.

    Attributes:
        images: uint8 ``[n, rows, columns, 3]``.
        sizes: int32 ``[n, 2]``, valid rows and columns; ``0, 0`` for entries that only fill the batch.
        original_sizes: int32 ``[n, 2]``, rows and columns of the original images.
        indices: int64 ``[n]``, the caller's number of each image; -1 for entries that only fill the batch.
    """

    images: np.ndarray
    sizes: np.ndarray
    original_sizes: np.ndarray
    indices: np.ndarray


class Item(NamedTuple):
    """One decoded image on its way into a batch: its number, pixels ``[h, w, 3]``, original rows and columns."""

    number: int
    pixels: np.ndarray
    original_size: tuple[int, int]


def make_batches(
    items: Iterable[Item],
    *,
    bucket: Callable[[tuple[int, int]], tuple[int, int]],
    capacity: Callable[[tuple[int, int]], int],
    singles: int = 0,
) -> Iterator[Batch]:
    """Group images by bucket as they come, and yield each bucket when it is full; the rest at the end.

    Few programs are compiled: every batch of a bucket has its capacity, filled up with invalid entries at the end, or
    holds a single image.

    Args:
        items: images, in any order; sorted by bucket, few wait.
        bucket: from an image's rows and columns to its padded shape, as ``choose_buckets`` makes it.
        capacity: images in a batch of a padded shape.
        singles: the rest of a bucket of at most this capacity comes one by one where that computes less than filling
            up a batch.

    Yields:
        ``Batch``.
    """
    waiting: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        shape = bucket((item.pixels.shape[0], item.pixels.shape[1]))
        together = waiting.setdefault(shape, [])
        together.append(item)
        if len(together) >= capacity(shape):
            yield _pad(waiting.pop(shape), shape, capacity(shape))
    for shape, together in sorted(waiting.items()):
        full = capacity(shape)
        if full <= singles and len(together) <= _WORTH_FILLING * full:
            for item in together:
                yield _pad([item], shape, 1)
        else:
            yield _pad(together, shape, full)


def side_by_side(batches: Iterable[Batch], number: int) -> Iterator[Batch]:
    """Join consecutive batches of one shape, so that each of ``number`` devices gets one of them.

    A join that is not full is filled up with invalid batches, which change nothing. What is in a device's batch does
    not depend on the number of devices.
    """
    together: list[Batch] = []
    for batch in batches:
        if together and batch.images.shape != together[0].images.shape:
            yield _join(together, number)
            together = []
        together.append(batch)
        if len(together) == number:
            yield _join(together, number)
            together = []
    if together:
        yield _join(together, number)


def _join(batches: Sequence[Batch], number: int) -> Batch:
    if number == 1:
        return batches[0]
    first = batches[0]
    invalid = Batch(
        np.zeros_like(first.images),
        np.zeros_like(first.sizes),
        np.ones_like(first.original_sizes),
        np.full_like(first.indices, -1),
    )
    filled = [*batches, *[invalid] * (number - len(batches))]
    return Batch(*(np.concatenate(parts) for parts in zip(*filled, strict=True)))


def _pad(items: Sequence[Item], shape: tuple[int, int], count: int) -> Batch:
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
