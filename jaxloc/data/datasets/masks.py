"""Boxes of objects that have masks only."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Box, MaskFile
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.errors import UsageError

_AT_ONCE = 8


def around(inside: np.ndarray) -> Box | None:
    """Tight box around a mask, bool ``[h, w]``; ``None`` if the mask is empty."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def read_boxes(into: Gathering, masks: Mapping[str, MaskFile]) -> dict[str, Box | None]:
    """Tight box around the mask of each image; ``None`` if empty. Unreadable masks are reported and left out."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="jaxloc-masks") as pool:
        found = dict(zip(masks, pool.map(_read_box, masks.values()), strict=True))
    boxes: dict[str, Box | None] = {}
    for name, box in found.items():
        if isinstance(box, UsageError):
            into.report(problems.WRONG_MASK, masks[name].path, str(box).removeprefix(f"{masks[name].path}: "))
        else:
            boxes[name] = box
    return boxes


def _read_box(mask: MaskFile) -> Box | UsageError | None:
    try:
        return around(mask.read().inside)
    except UsageError as error:
        return error
