"""Parts of the object that an image set shares, from DDT's further components.

Wei, Zhang, Li, Xie, Wu, Shen & Zhou, "Deep descriptor transforming for image co-localization", IJCAI 2017, section
4.6: inside the object, positive and negative values of the second component's indicator ``P²`` part it in two, such as
a head and a body. The paper stops at two. Here part detectors are taken in the order ``+P², −P², +P³, −P³, …``, each
divided by its standard deviation over the set, and a cell belongs to the one that responds most; with two parts that
is the sign of ``P²``. Detectors belong to the set, so part 1 is the same part in each of its images.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes, components
from jaxloc._checks import check_rank
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells


class Parts(NamedTuple):
    """The parts of one image's object.

    Attributes:
        labels: int32 ``[h, w]``, the part each cell belongs to, from 1; 0 outside the object.
        box: float32 ``[k, 4]``, ``x0, y0, x1, y1`` of each part's largest component in pixels of the original image;
            NaN where the image shows no such part.
        found: bool ``[k]``, whether a part has any cell.
    """

    labels: jax.Array
    box: jax.Array
    found: jax.Array


def components_needed(number: int) -> int:
    """How many of DDT's components ``number`` parts take, the first, which finds the object, among them."""
    if number < 2:
        raise ValueError(f"an object has at least 2 parts, not {number}")
    return 1 + (number + 1) // 2


@jitted("number")
def divide(
    indicators: ArrayLike, eigenvalues: ArrayLike, mask: ArrayLike, *, number: int = 2, size: ArrayLike | None = None
) -> jax.Array:
    """The part that each cell of one image's object belongs to.

    Args:
        indicators: float ``[c, h, w]``, ``P¹, P², …`` of the image, from ``ddt.indicator_maps``.
        eigenvalues: float ``[c]``, of the model.
        mask: bool ``[h, w]``, the object.
        number: how many parts (static).
        size: int ``[2]``, valid rows and columns; ``None`` means all.

    Returns:
        int32 ``[h, w]``: 1 to ``number`` inside the mask, 0 outside. Where detectors respond alike the later one
        takes the cell, so that part 1 of two is ``P² > 0``, strictly.

    Raises:
        ValueError: wrong shapes, fewer than two parts, or fewer components than they take.
    """
    indicators, eigenvalues, mask = jnp.asarray(indicators), jnp.asarray(eigenvalues), jnp.asarray(mask)
    check_rank("indicators", indicators, "[c, h, w]")
    check_rank("mask", mask, "[h, w]")
    needed = components_needed(number)
    if len(indicators) < needed or eigenvalues.shape != indicators.shape[:1] or mask.shape != indicators.shape[1:]:
        raise ValueError(
            f"{number} parts take {needed} components, one eigenvalue each, and a mask of their size; got indicators "
            f"{indicators.shape}, eigenvalues {eigenvalues.shape}, mask {mask.shape}: fit with components={needed}"
        )
    deviation = jnp.sqrt(jnp.maximum(eigenvalues[1:needed], 0))[:, None, None]
    strength = jnp.where(deviation > 0, indicators[1:needed] / jnp.where(deviation > 0, deviation, 1), 0)
    detectors = jnp.stack([strength, -strength], 1).reshape(-1, *mask.shape)[:number]
    last = number - 1 - jnp.argmax(detectors[::-1], 0)
    inside = mask & valid_cells(size, mask.shape[:2])
    return jnp.where(inside, last + 1, 0).astype(jnp.int32)


@jitted("number", "connectivity", "backend", nan=True)
def localize(
    indicators: ArrayLike,
    eigenvalues: ArrayLike,
    mask: ArrayLike,
    image_size: ArrayLike,
    *,
    number: int = 2,
    size: ArrayLike | None = None,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> Parts:
    """The parts of one image's object, with a box around the largest component of each.

    Args:
        indicators: float ``[c, h, w]``, ``P¹, P², …`` of the image, from ``ddt.indicator_maps``.
        eigenvalues: float ``[c]``, of the model.
        mask: bool ``[h, w]``, the object.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the boxes are.
        number: how many parts (static).
        size: int ``[2]``, valid rows and columns; ``None`` means all.
        connectivity: 8 or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).
    """
    labels = divide(indicators, eigenvalues, mask, number=number, size=size)

    def box_of(part: jax.Array) -> jax.Array:
        largest = components.largest_component(labels == part, connectivity=connectivity, backend=backend)
        return boxes.mask_to_box(largest, image_size, size=size)

    box = jax.vmap(box_of)(jnp.arange(1, number + 1))
    return Parts(labels, box, ~jnp.isnan(box[:, 0]))
