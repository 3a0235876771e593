"""Few padded shapes for images of many sizes: a shape costs a compilation, a padded pixel a little time."""

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Mapping

Size = tuple[int, int]

_CANDIDATES = 128
_COARSE = 16
"""Images larger than all counted ones are padded to multiples of this number of steps."""
_LARGEST = 1 << 24
"""Maximum pixels of a merged shape: that of a wide and a tall panorama would fill a device's memory."""


@dataclasses.dataclass(frozen=True)
class Buckets:
    """Padded shapes and the number of counted images of each.

    Attributes:
        step: shapes are multiples of this; an image that fits none gets its own, a multiple of sixteen steps.
        padding: share of padding among the padded pixels of the counted images.
    """

    counts: Mapping[Size, int]
    step: int
    padding: float = 0.0

    def __call__(self, size: Size) -> Size:
        """Smallest shape that holds an image of this size, or the size rounded up coarsely."""
        holding = (shape for shape in self._by_area if shape[0] >= size[0] and shape[1] >= size[1])
        return next(holding, _round_up(size, _COARSE * self.step))

    @functools.cached_property
    def _by_area(self) -> list[Size]:
        return sorted(self.counts, key=lambda shape: (math.prod(shape), shape))


def choose_buckets(counts: Mapping[Size, int], *, limit: int, step: int, compilation: int = 0) -> Buckets:
    """Choose a limited number of padded shapes with little padding.

    Sizes are rounded up to multiples of ``step``. While there are too many shapes, or compiling for one takes longer
    than computing its padding, the two shapes whose cover adds the least padding are merged. A cover of more than 2²⁴
    pixels, and more than either shape, is used only if there are too many shapes and no other to merge.

    Args:
        counts: images by rows and columns.
        limit: maximum number of shapes.
        step: shapes are multiples of this.
        compilation: pixels that the network computes in the time of one compilation.
    """
    shapes, step_used = _rounded(counts, step), step
    while len(shapes) > _CANDIDATES:
        step_used *= 2
        shapes = _rounded(counts, step_used)
    while len(shapes) > 1:
        (excess, added), first, second = min(
            (_cost(a, count_a, b, count_b), a, b)
            for a, count_a in shapes.items()
            for b, count_b in shapes.items()
            if a < b
        )
        if len(shapes) <= limit and (excess or added >= compilation):
            break
        count = shapes.pop(first) + shapes.pop(second)
        merged = _cover(first, second)
        shapes[merged] = shapes.get(merged, 0) + count
    chosen = Buckets(shapes, step)
    used: Counter[Size] = Counter()  # a shape may hold images of others that were merged past it
    for size, count in counts.items():
        used[chosen(size)] += count
    padded = sum(math.prod(shape) * count for shape, count in used.items())
    filled = sum(math.prod(size) * count for size, count in counts.items())
    return Buckets(dict(used), step, 1 - filled / padded if padded else 0.0)


def _rounded(counts: Mapping[Size, int], step: int) -> Counter[Size]:
    shapes: Counter[Size] = Counter()
    for size, count in counts.items():
        shapes[_round_up(size, step)] += count
    return shapes


def _round_up(size: Size, step: int) -> Size:
    return -(-size[0] // step) * step, -(-size[1] // step) * step


def _cover(a: Size, b: Size) -> Size:
    return max(a[0], b[0]), max(a[1], b[1])


def _cost(a: Size, count_a: int, b: Size, count_b: int) -> tuple[int, int]:
    """Cost of merging two shapes: pixels of their cover if too large, else 0; and pixels added to all images."""
    area, area_a, area_b = math.prod(_cover(a, b)), math.prod(a), math.prod(b)
    excess = area if area > _LARGEST and area > area_a and area > area_b else 0
    return excess, count_a * (area - area_a) + count_b * (area - area_b)
