"""Figures of images with what was found in them."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from jaxloc.api.found import FoundObject
from jaxloc.api.groups import FoundGroups
from jaxloc.data.in_memory import Images, InMemoryImages
from jaxloc.errors import UsageError
from jaxloc.report.overlays import draw_overlay
from jaxloc.report.text import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SIDE = 360
"""Longest shorter side of an image in a figure, in pixels."""


def plot(images: Images, found: Sequence[FoundObject], *, columns: int = 4, heat: bool = True) -> "Figure":
    """Draw images with their boxes, and with the response of the cells above the threshold.

    Of ``FoundGroups``, each group has a row: its most typical images.

    Args:
        images: as they were given to the function that returned ``found``.
        found: what was found in them, a ``Found`` or a part of one.
        columns: images in a row.
        heat: colour the cells above the threshold by their response.

    Raises:
        UsageError: another number of images than of results, or matplotlib is missing.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise UsageError("plotting needs matplotlib: pip install 'jaxloc[notebook]'") from error
    images = InMemoryImages(images)
    if len(images) != len(found):
        raise UsageError(f"{len(images)} images and {len(found)} results: pass the images that were searched")
    titles: list[str] = []
    if isinstance(found, FoundGroups):
        rows = [members[:columns].tolist() for members in found.groups.values()]
        titles = [f"{name}: {counted(len(members), 'image')}" for name, members in found.groups.items()]
    else:
        rows = [list(range(start, min(start + columns, len(found)))) for start in range(0, len(found), columns)]
    figure, axes = pyplot.subplots(
        len(rows), columns, figsize=(3 * columns, 2.5 * len(rows)), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for row, numbers in zip(axes, rows, strict=True):
        for axis, number in zip(row, numbers, strict=False):
            finding = found[number].finding()
            finding = finding if heat else dataclasses.replace(finding, heat=None)
            axis.imshow(draw_overlay(Image.fromarray(images.read(number, shorter_side=_SIDE).pixels), finding))
    for row, title in zip(axes, titles, strict=False):
        row[0].set_title(title, loc="left")
    return figure
