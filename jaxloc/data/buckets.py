"""Few padded shapes for pictures of many sizes: each shape costs a compilation, each padded pixel a little time."""

import math
from collections.abc import Callable, Mapping

Size = tuple[int, int]

_CANDIDATES = 128


def choose_buckets(counts: Mapping[Size, int], *, limit: int, step: int) -> Callable[[Size], Size]:
    """Choose padded shapes for the sizes at hand, at most so many, with little padding.

    Sizes are rounded up to multiples of ``step``; then, while there are too many shapes, the two are merged into the
    one that covers both at the least added padding.

    Args:
        counts: how many pictures there are of each size, rows and columns.
        limit: shapes at most.
        step: shapes are multiples of this.

    Returns:
        A function from a picture's size to its bucket. A size that was not counted gets the smallest bucket that
        holds it, or its own multiple of ``step``.
    """
    shapes: dict[Size, int] = {}
    step_used = step
    while not shapes or len(shapes) > _CANDIDATES:
        shapes = {}
        for size, count in counts.items():
            shape = _round_up(size, step_used)
            shapes[shape] = shapes.get(shape, 0) + count
        if not shapes:
            break
        step_used *= 2
    while len(shapes) > limit:
        _, first, second = min(
            (_added(a, count_a, b, count_b), a, b)
            for a, count_a in shapes.items()
            for b, count_b in shapes.items()
            if a < b
        )
        count = shapes.pop(first) + shapes.pop(second)
        merged = _cover(first, second)
        shapes[merged] = shapes.get(merged, 0) + count
    by_area = sorted(shapes, key=math.prod)

    def bucket(size: Size) -> Size:
        holding = (shape for shape in by_area if shape[0] >= size[0] and shape[1] >= size[1])
        return next(holding, _round_up(size, step))

    return bucket


def _round_up(size: Size, step: int) -> Size:
    return -(-size[0] // step) * step, -(-size[1] // step) * step


def _cover(a: Size, b: Size) -> Size:
    return max(a[0], b[0]), max(a[1], b[1])


def _added(a: Size, count_a: int, b: Size, count_b: int) -> int:
    """Pixels that merging two shapes adds to all their pictures together."""
    area = math.prod(_cover(a, b))
    return count_a * (area - math.prod(a)) + count_b * (area - math.prod(b))
