"""Numbers of classes: those of the source where the format can hold them."""

import itertools
import math
from collections.abc import Iterable, Mapping

from jaxloc.report.exports.formats import Format


def class_numbers(names: Iterable[str], source: Mapping[str, int], start: int, format: Format) -> dict[str, int]:
    """Numbers of classes in a format, in their order.

    The source's numbers are kept, moved to where the format begins to count. Where they have gaps, which only COCO
    allows, classes are numbered in their order. Classes without a number come last, sorted by name.

    ``start`` is the number of the source's first class.
    """
    first = format.first_number or 0
    order = sorted(names, key=lambda name: (source.get(name, math.inf), name))
    kept = {name: source[name] - start + first for name in order if name in source}
    gapless = sorted(kept.values()) == list(range(first, first + len(kept)))
    if gapless or (format.keeps_gaps and len(set(kept.values())) == len(kept)):
        free = itertools.count(max(kept.values(), default=first - 1) + 1)
        return {name: kept[name] if name in kept else next(free) for name in order}
    return dict(zip(order, itertools.count(first), strict=False))
