"""Objects as peaks of a heat map for each class, with the distances from the peak to their sides: targets, loss, boxes.

Zhou, Wang & Krähenbühl, "Objects as points", arXiv 1904.07850, 2019, with the loss of Law & Deng, "CornerNet", ECCV
2018, in place of the feature pyramid that Wei et al., "RPC", arXiv 1901.07249, 2019, count products with. Deviations: a
Gaussian's width does not depend on the object's size; four distances, in logarithms, stand for size and offset; and
peaks are suppressed across classes, since products do not lie in one another.

Everything is in cells of the map: cell ``(row, column)`` covers ``x`` from ``column`` to ``column + 1``.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_flags
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells

_LEAST = 0.05
"""Cells that an object's side is away from the middle of its cell, at least."""


class Targets(NamedTuple):
    """What a head is to predict for an image.

    Attributes:
        heat: float32 ``[h, w, k]`` in [0, 1], 1 at the cell of an object's centre.
        sides: float32 ``[h, w, 4]``, logarithms of the distances from the middle of the cell to the object's left,
            upper, right and lower side; 0 elsewhere.
        there: bool ``[h, w]``, the cells of centres.
    """

    heat: jax.Array
    sides: jax.Array
    there: jax.Array


class Detections(NamedTuple):
    """Objects found in an image, highest score first.

    Attributes:
        boxes: float32 ``[m, 4]``, ``x0, y0, x1, y1`` in cells.
        classes: int32 ``[m]``.
        scores: float32 ``[m]`` in [0, 1]; 0 where there is no further peak.
        valid: bool ``[m]``.
    """

    boxes: jax.Array
    classes: jax.Array
    scores: jax.Array
    valid: jax.Array


@jitted("shape", "kinds")
def targets(
    boxes: ArrayLike,
    classes: ArrayLike,
    *,
    shape: tuple[int, int],
    kinds: int,
    valid: ArrayLike | None = None,
    sigma: float = 1.2,
) -> Targets:
    """Heat maps and sides of an image's objects; of two in one cell the first gives the sides.

    Args:
        boxes: ``[n, 4]``, ``x0, y0, x1, y1`` in cells.
        classes: int ``[n]``.
        shape: rows and columns of the map (static).
        kinds: ``k``, number of classes (static).
        valid: bool ``[n]``, which rows are objects; ``None`` means all.
        sigma: standard deviation of an object's Gaussian, in cells.
    """
    boxes = as_array("boxes", boxes, "[n, 4]", jnp.float32)
    classes = as_array("classes", classes, "[n]", jnp.int32)
    valid = as_flags(valid, classes.shape, "object")
    rows, columns = shape
    x = jnp.clip(jnp.floor((boxes[:, 0] + boxes[:, 2]) / 2), 0, columns - 1)
    y = jnp.clip(jnp.floor((boxes[:, 1] + boxes[:, 3]) / 2), 0, rows - 1)
    apart_x, apart_y = jnp.arange(columns) - x[:, None], jnp.arange(rows) - y[:, None]
    near = jnp.exp(-(apart_y[:, :, None] ** 2 + apart_x[:, None, :] ** 2) / (2 * sigma**2))
    near = jnp.where(valid[:, None, None], near, 0)
    heat = jnp.zeros((kinds, *shape)).at[classes].max(near)
    centers = near == 1
    first = centers.argmax(0)
    there = centers.any(0)
    middle_x, middle_y = jnp.arange(columns) + 0.5, jnp.arange(rows)[:, None] + 0.5
    x0, y0, x1, y1 = (boxes[first, corner] for corner in range(4))
    away = jnp.stack([middle_x - x0, middle_y - y0, x1 - middle_x, y1 - middle_y], -1)
    sides = jnp.where(there[..., None], jnp.log(jnp.maximum(away, _LEAST)), 0)
    return Targets(jnp.moveaxis(heat, 0, -1), sides, there)


@jitted()
def loss(logits: ArrayLike, sides: ArrayLike, truth: Targets, *, size: ArrayLike | None = None) -> jax.Array:
    """Penalty-reduced focal loss of the heat maps, and the mean error of the sides; each for an object of the image.

    ``−(1 − p)² log p`` at centres and ``−(1 − heat)⁴ p² log(1 − p)`` elsewhere, with ``p`` the logistic function of the
    logits, summed over cells and classes.

    Args:
        logits: ``[h, w, k]``.
        sides: ``[h, w, 4]``, predicted logarithms.
        truth: the targets.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
    """
    logits = as_array("logits", logits, "[h, w, k]", jnp.float32)
    sides = as_array("sides", sides, "[h, w, 4]", jnp.float32)
    cells = valid_cells(size, logits.shape[:2])
    objects = jnp.maximum((truth.there & cells).sum(), 1)
    chance = jax.nn.sigmoid(logits)
    positive = -((1 - chance) ** 2) * jax.nn.log_sigmoid(logits)
    negative = -((1 - truth.heat) ** 4) * chance**2 * jax.nn.log_sigmoid(-logits)
    focal = jnp.where(truth.heat == 1, positive, negative).sum(-1)
    error = jnp.where(truth.there, jnp.abs(sides - truth.sides).mean(-1), 0)
    return jnp.where(cells, focal + error, 0).sum() / objects


@jitted("most", "window")
def detect(
    logits: ArrayLike, sides: ArrayLike, *, size: ArrayLike | None = None, most: int = 100, window: int = 5
) -> Detections:
    """The peaks of the heat maps as boxes: cells whose best class no cell of the window around exceeds.

    Args:
        logits: ``[h, w, k]``.
        sides: ``[h, w, 4]``, logarithms of distances.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
        most: ``m``, number of detections (static).
        window: cells of a side of the window, odd (static).
    """
    logits = as_array("logits", logits, "[h, w, k]", jnp.float32)
    sides = as_array("sides", sides, "[h, w, 4]", jnp.float32)
    if window % 2 == 0 or not 0 < most <= logits.shape[0] * logits.shape[1]:
        cells = logits.shape[0] * logits.shape[1]
        raise ValueError(f"window must be odd and most from 1 to the map's {cells} cells, got {window} and {most}")
    best = jnp.where(valid_cells(size, logits.shape[:2]), jax.nn.sigmoid(logits.max(-1)), 0)
    around = jax.lax.reduce_window(best, -jnp.inf, jax.lax.max, (window, window), (1, 1), "SAME")
    scores, places = jax.lax.top_k(jnp.where(best >= around, best, 0).reshape(-1), most)
    y, x = places // logits.shape[1] + 0.5, places % logits.shape[1] + 0.5
    left, up, right, down = jnp.exp(jnp.clip(sides.reshape(-1, 4)[places], -5, 7)).T
    boxes = jnp.stack([x - left, y - up, x + right, y + down], -1)
    classes = logits.reshape(-1, logits.shape[-1])[places].argmax(-1).astype(jnp.int32)
    return Detections(boxes, classes, scores, scores > 0)
