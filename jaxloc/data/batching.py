"""How images are grouped into batches: padded shapes, images per batch, order."""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from jaxloc.data.batches import Batch, Item, make_batches, side_by_side
from jaxloc.data.buckets import Buckets, Size, choose_buckets

_SAMPLE = 8192
"""Images whose sizes are enough to choose the buckets."""


def sample(total: int) -> range:
    """Evenly spaced numbers of the images whose sizes are read to choose the buckets."""
    return range(0, total, max(1, -(-total // _SAMPLE)))


@dataclasses.dataclass(frozen=True)
class Batching:
    """Rules for batches on one kind of device.

    Attributes:
        batch: largest number of images in a device's batch.
        pixels: largest number of padded pixels in a device's batch.
        step: bucket sides are multiples of this many pixels.
        compilation: pixels the network computes in the time it takes to compile one shape.
        singles: buckets of at most this capacity process their remainder image by image, where that computes less.
        least: fewest images of a shape for which a program for full batches is compiled; ``None`` is one full batch.
        shapes: largest number of buckets; each costs a compilation, and memory for the life of the process.
    """

    batch: int
    pixels: int
    step: int
    compilation: int
    singles: int = 0
    least: int | None = 1
    shapes: int = 12

    def with_batch(self, batch: int | None) -> "Batching":
        """The same rules with the batch size that the caller asks for, which may exceed the limit on pixels."""
        if batch is None:
            return self
        least = 1 if self.least == 1 else None
        return dataclasses.replace(self, batch=batch, pixels=self.pixels * batch, least=least)

    def choose_buckets(self, sizes: Iterable[Size], total: int) -> Buckets:
        """Padded shapes for ``total`` images from the sizes of a ``sample``; ``0, 0`` is an unusable image."""
        sizes = list(sizes)
        counts = Counter(size for size in sizes if size[0])
        scaled = {size: math.ceil(count * (total / len(sizes))) for size, count in counts.items()}
        return choose_buckets(scaled, limit=self.shapes, step=self.step, compilation=self.compilation)

    def capacity(self, buckets: Buckets, shape: Size) -> int:
        """Number of images in one device's batch of a padded shape, a power of two."""
        fitting = max(1, min(self.batch, self.pixels // (shape[0] * shape[1])))
        capacity = 1 << (fitting.bit_length() - 1)
        least = capacity if self.least is None else self.least
        return capacity if buckets.counts.get(shape, 0) >= least else 1

    def order(self, numbers: Sequence[int], sizes: Iterable[Size], buckets: Buckets) -> list[int]:
        """Images sorted by bucket, then by number, so that few wait for their batch to fill."""
        shapes = [buckets(size) for size in sizes]
        return [number for _, number in sorted(zip(shapes, numbers, strict=True))]

    def batches(self, items: Iterable[Item], buckets: Buckets, devices: int) -> Iterator[Batch]:
        """Padded batches that divide evenly over the devices.

        A device's part of a batch does not depend on the number of devices.
        """
        batches = make_batches(
            items, bucket=buckets, capacity=lambda shape: self.capacity(buckets, shape), singles=self.singles
        )
        return side_by_side(batches, devices)


# On the CPU a larger batch helps small images only: computing one takes less time than reading the parameters.
CPU = Batching(batch=64, pixels=1 << 19, step=8, compilation=1 << 19, singles=8, least=128)
ACCELERATOR = Batching(batch=32, pixels=1 << 24, step=32, compilation=1 << 32)
