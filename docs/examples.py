"""What the pages' cells share: the values of ``example.py``, and functions that draw."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

if "JAXLOC_EXAMPLE" in os.environ:  # while the pages are built, which computes them once
    images, photos, sizes, maps = pickle.loads(Path(os.environ["JAXLOC_EXAMPLE"]).read_bytes())
else:
    from example import images, maps, photos, sizes

__all__ = ["draw", "draw_box", "draw_each", "draw_map", "draw_mask", "images", "maps", "photos", "row", "sizes"]


def row(count: int, *, height: float = 2.4, rows: int = 1) -> np.ndarray:
    """Axes without ticks, ``[rows, count]`` flattened."""
    _, axes = plt.subplots(rows, count, figsize=(2.6 * count, height * rows), layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return axes.ravel()


def draw(axis: Axes, photo: np.ndarray, title: str = "") -> None:
    """An image, in the pixels that boxes are in."""
    axis.imshow(photo)
    axis.set_title(title, fontsize=10)


def draw_map(axis: Axes, photo: np.ndarray, values: np.ndarray, title: str = "", *, signed: bool = False) -> None:
    """A map of cells over the whole of its image; signed ones are red above zero and blue below."""
    rows, columns = photo.shape[:2]
    peak = np.abs(values).max() or 1
    style = {"cmap": "RdBu_r", "vmin": -peak, "vmax": peak} if signed else {"cmap": "magma", "vmin": 0}
    axis.imshow(values, extent=(0, columns, rows, 0), **style)
    axis.set_title(title, fontsize=10)


def draw_mask(axis: Axes, photo: np.ndarray, mask: np.ndarray, title: str = "") -> None:
    """What is not selected, under a veil."""
    rows, columns = photo.shape[:2]
    draw(axis, photo, title)
    veil = np.ones((*mask.shape, 4)) * np.where(np.asarray(mask), 0, 0.8)[..., None]
    veil[..., :3] = 1
    axis.imshow(veil, extent=(0, columns, rows, 0))


def draw_box(axis: Axes, box: np.ndarray | tuple | None, *, colour: str = "#00b8d4", style: str = "-") -> None:
    """A box ``x0, y0, x1, y1``; nothing where there is none."""
    if box is not None and np.isfinite(np.asarray(box, float)).all():
        x0, y0, x1, y1 = np.asarray(box, float)
        axis.add_patch(plt.Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, ec=colour, ls=style, lw=2.5))


def draw_each(draw_one: Callable[[Axes, int], None], *, rows: int = 2) -> None:
    """One small axis for each image."""
    for number, axis in enumerate(row(len(photos) // rows, height=2.2, rows=rows)):
        draw_one(axis, number)
