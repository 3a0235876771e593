"""What the pages' examples share: a few images with known boxes, the network, and functions that draw.

The images are composed by ``jaxloc.data.demo`` from photographs that ship inside scikit-image.
"""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import jaxloc
from jaxloc.data import demo

# [start of the example]
images = demo.compose(with_object=6, without=2)
photos = [np.asarray(image.image) for image in images]  # uint8 [h, w, 3]
sizes = [np.array(photo.shape[:2]) for photo in photos]

net = jaxloc.load("vgg16")
maps = net.features(photos, ["pool5", "relu5_3", "relu5_2"])  # for each image, [h, w, d] by layer
# [end of the example]


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
