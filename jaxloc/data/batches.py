"""Padded batches of few shapes from images of any size."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

_WORTH_FILLING = 0.75
"""Share of a batch below which its images are faster one by one."""


class Batch(NamedTuple):
    """Images of one bucket, zero-padded to its shape.

    Attributes:
        images: uint8 ``[n, rows, columns, 3]``.
        sizes: int32 ``[n, 2]``, valid rows and columns; ``0, 0`` for padding entries.
        original_sizes: int32 ``[n, 2]``, rows and columns of the original images.
        indices: int64 ``[n]``, the caller's number of each image; -1 for padding entries.
    """

    images: np.ndarray
    sizes: np.ndarray
    original_sizes: np.ndarray
    indices: np.ndarray


class Item(NamedTuple):
    """One decoded image: its number, pixels ``[h, w, 3]``, original rows and columns."""

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
    """Group images by bucket; yield each bucket when it is full, and the rest at the end.

    Every batch of a bucket has its capacity, padded at the end, or a single image, so that few programs are compiled.

    Args:
        items: images in any order; sorted by bucket, they need the least memory.
        bucket: maps rows and columns to a padded shape, as ``choose_buckets`` makes it.
        capacity: images in a batch of a padded shape.
        singles: the rest of a bucket of at most this capacity comes one by one if that computes less than padding it.
    """
    waiting: dict[tuple[int, int], list[Item]] = {}
    for item in items:
        shape = bucket((item.pixels.shape[0], item.pixels.shape[1]))
        together = waiting.setdefault(shape, [])
        together.append(item)
        if len(together) >= capacity(shape):
            yield pad(waiting.pop(shape), shape, capacity(shape))
    for shape, together in sorted(waiting.items()):
        full = capacity(shape)
        if full <= singles and len(together) <= _WORTH_FILLING * full:
            for item in together:
                yield pad([item], shape, 1)
        else:
            yield pad(together, shape, full)


def side_by_side(batches: Iterable[Batch], number: int) -> Iterator[Batch]:
    """Join consecutive batches of one shape, one for each of ``number`` devices, padded with empty batches.

    The batch of a device does not depend on the number of devices.
    """
    for _, alike in itertools.groupby(batches, key=lambda batch: batch.images.shape):
        while together := list(itertools.islice(alike, number)):
            yield _join(together, number)


def _join(batches: Sequence[Batch], number: int) -> Batch:
    if number == 1:
        return batches[0]
    count, *shape, _ = batches[0].images.shape
    filled = [*batches, *[pad([], (shape[0], shape[1]), count)] * (number - len(batches))]
    return Batch(*(np.concatenate(parts) for parts in zip(*filled, strict=True)))


def pad(items: Sequence[Item], shape: tuple[int, int], count: int) -> Batch:
    """A batch of ``count`` entries of a padded shape; those after the items are invalid."""
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
