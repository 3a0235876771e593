"""What a method that localises returns for one image, the same for all of them."""

from typing import NamedTuple

import jax


class Localization(NamedTuple):
    """One image's object.

    Attributes:
        response: float32 ``[h, w]``, the map the decision was made on; meaningless outside the valid cells.
        mask: bool ``[h, w]``, True = object, at the resolution of the feature map.
        box: float32 ``[4]``, ``x0, y0, x1, y1`` in pixels of the original image; NaN where nothing was found.
        found: bool ``[]``, whether the mask holds any cell.
        score: float32 ``[]`` in [0, 1), how far the object stands out; 0 where nothing was found.
        positive_share: float32 ``[]``, share of valid cells above the method's threshold, before any component
            step: DDT's noise score, small where the common object is absent.
    """

    response: jax.Array
    mask: jax.Array
    box: jax.Array
    found: jax.Array
    score: jax.Array
    positive_share: jax.Array
