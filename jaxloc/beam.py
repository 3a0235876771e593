"""Beam search: find the object of a class by dropping outer rows and columns of the last feature map.

Bency, Kwon, Lee, Karthikeyan & Manjunath, "Weakly supervised localization using deep feature maps", ECCV 2016. The
network is two functions, from an image to its last map and from a map to class probabilities, so any network whose head
takes a map can be asked. Each candidate box has four children: its map without the right column, the left column, the
bottom row and the top row, stretched to a whole map and scored. The best children of a level are cropped from the image
and searched in turn.

Settled where the paper is silent: maps are stretched bilinearly at half-pixel centres, edges clamped; a child whose
corners agree with those of a better one is dropped; the heat map leaves the whole image out.
``localization.of_peak`` makes an object of a heat map, and tells where it is greatest.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_flags, as_size
from jaxloc._jit import jitted, standard_promotion
from jaxloc._sharding import compiler_chooses, varying_as
from jaxloc.crops import crop_resize
from jaxloc.grids import map_size

_SAME = 1e-4  # of the image's longer side: corners of equal boxes differ by less


class Search(NamedTuple):
    """Candidates of one image, best first at each of ``H`` levels; ``M`` is the width of the beam.

    Attributes:
        boxes: float32 ``[H, M, 4]``, ``x0, y0, x1, y1`` in pixels of the image; the image itself where not valid.
        scores: float32 ``[H, M]``, 0 where not valid.
        valid: bool ``[H, M]``.
        probabilities: float32 ``[classes]``, of the whole image.
        passes: int32 ``[]``, images that the search needed maps of.
    """

    boxes: jax.Array
    scores: jax.Array
    valid: jax.Array
    probabilities: jax.Array
    passes: jax.Array


class _Level(NamedTuple):
    """Candidates of one level, as in ``Search``."""

    boxes: jax.Array
    scores: jax.Array
    valid: jax.Array


@jitted()
def children(maps: ArrayLike) -> jax.Array:
    """A map without its right column, left column, bottom row and top row, each stretched to the map's size.

    Args:
        maps: ``[L, L, channels]``, ``L`` at least 2.

    Returns:
        float32 ``[4, L, L, channels]``.
    """
    maps = as_array("maps", maps, "[L, L, channels]", jnp.float32)
    stretch = jnp.asarray(_stretch(len(maps)))
    highest = jax.lax.Precision.HIGHEST
    across = [jnp.einsum("ab,ybc->yac", stretch, part, precision=highest) for part in (maps[:, :-1], maps[:, 1:])]
    down = [jnp.einsum("ab,bxc->axc", stretch, part, precision=highest) for part in (maps[:-1], maps[1:])]
    return jnp.stack(across + down)


def _stretch(length: int) -> np.ndarray:
    """Weights ``[length, length - 1]`` of a bilinear enlargement by one cell."""
    place = np.clip((np.arange(length) + 0.5) * (length - 1) / length - 0.5, 0, length - 2)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(length - 1))).astype(np.float32)


def _child_boxes(box: jax.Array, length: int) -> jax.Array:
    """Boxes ``[4, 4]`` of the children of a box, in the order of ``children``."""
    column, row = (box[2] - box[0]) / length, (box[3] - box[1]) / length
    change = jnp.array([[0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, -1], [0, 1, 0, 0]], jnp.float32)
    return box + change * jnp.stack([column, row, column, row])


@standard_promotion()
@compiler_chooses()
def search(
    features_fn: Callable[[jax.Array], jax.Array],
    head_fn: Callable[[jax.Array], jax.Array],
    image: ArrayLike,
    weights: ArrayLike | Callable[[jax.Array], jax.Array],
    *,
    size: ArrayLike | None = None,
    side: int = 224,
    beam: int = 8,
    depth: int = 10,
) -> Search:
    """Search one image; batches by ``jax.vmap``.

    Each function of the network is traced for the whole image and for the candidates of a level.

    Args:
        features_fn: from images ``[n, side, side, 3]`` to maps ``[n, L, L, channels]``; preprocessing belongs to it
            (static).
        head_fn: from maps to probabilities ``[n, classes]`` (static).
        image: ``[h, w, 3]`` in [0, 1].
        weights: ``[classes]``; the score is ``p · weights``: one class, or several weighted. Or the function that gives
            them for the probabilities of the whole image.
        size: int ``[2]``, valid rows and columns of ``image``; ``None`` means all.
        side: of the crops in pixels (static).
        beam: ``M``, candidates kept at each level (static).
        depth: ``H``, levels (static).

    Raises:
        ValueError: ``image`` is not one RGB image, or ``weights`` not one vector.
    """
    image = as_array("image", image, "[h, w, 3]", jnp.float32)
    extent = jnp.tile(map_size(size, image.shape[:2])[::-1].astype(jnp.float32), 2)
    whole = extent * jnp.array([0, 0, 1, 1], jnp.float32)

    def maps_of(places: jax.Array) -> jax.Array:
        return features_fn(jax.vmap(lambda box: crop_resize(image, box, (side, side), size=size))(places))

    root = maps_of(whole[None])
    known = head_fn(root)[0].astype(jnp.float32)
    weights = as_array("weights", weights(known) if callable(weights) else weights, "[classes]", jnp.float32)

    def best_children(places: jax.Array, maps: jax.Array, valid: jax.Array) -> _Level:
        offspring = jax.vmap(children)(maps)
        probabilities = head_fn(offspring.reshape(-1, *offspring.shape[2:]))
        missing = max(0, beam - len(probabilities))
        scores = jnp.pad((probabilities.astype(jnp.float32) * weights).sum(1), (0, missing))
        offered = jnp.pad(jnp.repeat(valid, 4), (0, missing))
        order = jnp.argsort(jnp.where(offered, -scores, jnp.inf), stable=True)
        boxes = jax.vmap(lambda box: _child_boxes(box, maps.shape[1]))(places).reshape(-1, 4)
        boxes = jnp.pad(boxes, ((0, missing), (0, 0)))[order]
        scores, offered = scores[order], offered[order]
        same = (jnp.abs(boxes[:, None] - boxes) < _SAME * extent.max()).all(-1)
        fresh = offered & ~(jnp.tril(same, -1) & offered).any(1)
        kept = jnp.argsort(~fresh, stable=True)[:beam]
        valid = fresh[kept]
        return _Level(jnp.where(valid[:, None], boxes[kept], whole), jnp.where(valid, scores[kept], 0), valid)

    def next_level(parents: _Level, _: None) -> tuple[_Level, _Level]:
        found = best_children(parents.boxes, maps_of(parents.boxes), parents.valid)
        return found, found

    first = best_children(whole[None], root, jnp.ones(1, bool))
    _, later = jax.lax.scan(next_level, varying_as(image, first), None, length=depth - 1)
    levels = jax.tree.map(lambda one, others: jnp.concatenate([one[None], others]), first, later)
    passes = 1 + levels.valid[:-1].sum(dtype=jnp.int32)
    return Search(levels.boxes, levels.scores, levels.valid, known, passes)


@jitted("shape")
@compiler_chooses()
def heat_map(
    places: ArrayLike,
    scores: ArrayLike,
    image_size: ArrayLike,
    *,
    valid: ArrayLike | None = None,
    shape: tuple[int, int] = (112, 112),
) -> jax.Array:
    """Sum of the scores of the candidate boxes over the centre of each cell, float32 ``[rows, columns]``.

    Args:
        places: ``[..., 4]``, boxes in pixels of the image.
        scores: ``[...]``.
        image_size: int ``[2]``, rows and columns of the image.
        valid: bool ``[...]``, boxes to count; ``None`` means all.
        shape: rows and columns of the grid laid over the image (static).
    """
    scores = jnp.asarray(scores, jnp.float32)
    scores = jnp.where(as_flags(valid, scores.shape, "box"), scores, 0).ravel()
    x0, y0, x1, y1 = jnp.asarray(places, jnp.float32).reshape(-1, 4).T[:, :, None]
    rows, columns = as_size("image_size", image_size, jnp.float32)
    y = (jnp.arange(shape[0], dtype=jnp.float32) + 0.5) / shape[0] * rows
    x = (jnp.arange(shape[1], dtype=jnp.float32) + 0.5) / shape[1] * columns
    down = ((y >= y0) & (y < y1)).astype(jnp.float32)
    across = ((x >= x0) & (x < x1)).astype(jnp.float32)
    return jnp.einsum("ny,nx->yx", down * scores[:, None], across, precision=jax.lax.Precision.HIGHEST)
