"""Figures of images with what was found in them."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from jaxloc.api.found import FoundObject
from jaxloc.data.in_memory import Images, InMemoryImages
from jaxloc.errors import UsageError
from jaxloc.report.overlays import draw_overlay

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_SIDE = 360
"""Longest shorter side of an image in a figure, in pixels."""


def plot(images: Images, found: Sequence[FoundObject], *, columns: int = 4, heat: bool = True) -> "Figure":
    """Draw images with their boxes, and with the response of the cells above the threshold.

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
    rows = -(-len(found) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(3 * columns, 2.5 * rows), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (axis, one) in enumerate(zip(axes.flat, found, strict=False)):
        finding = one.finding() if heat else dataclasses.replace(one.finding(), heat=None)
        axis.imshow(draw_overlay(Image.fromarray(images.read(number, shorter_side=_SIDE).pixels), finding))
    return figure
