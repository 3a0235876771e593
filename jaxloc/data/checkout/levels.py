"""Levels of clutter of a checkout image: RPC's table 2, and single items."""

from collections.abc import Mapping
from typing import NamedTuple


class Level(NamedTuple):
    """Least and greatest number of kinds of product, and of items, in an image."""

    kinds: tuple[int, int]
    items: tuple[int, int]


LEVELS: Mapping[str, Level] = {
    "single": Level((1, 1), (1, 1)),
    "easy": Level((3, 5), (3, 10)),
    "medium": Level((5, 8), (10, 15)),
    "hard": Level((8, 10), (15, 20)),
}
"""By name, in the order of the paper's tables; ``single`` is one item alone, what the paper's first row learns from."""
