"""Boxes of one object over time: outliers out, short gaps bridged, the rest smoothed.

Three steps, none of which knows a direction of time or looks at pixels:

1. A box is an outlier if a corner lies further from the running median than three robust standard deviations, the
   Hampel identifier (Davies & Gather, "The identification of multiple outliers", JASA 1993; as a running filter
   Pearson, "Outliers in process modeling and identification", IEEE TCST 2002). Our addition: it must also differ by a
   share of the box's size, for a track that hardly moves has a spread of nearly nothing.
2. Gaps between two kept boxes are bridged by straight lines if they are short.
3. What is then there is smoothed by local linear regression with Gaussian weights (Cleveland, JASA 1979; Fan,
   "Design-adaptive nonparametric regression", JASA 1992), which leaves steady motion as it is, also at both ends.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses

_CONSISTENT = 1.4826  # the median of absolute deviations of a normal distribution times this is its deviation
_CUT = 3  # standard deviations of the Gaussian weights that count


class Track(NamedTuple):
    """Boxes of one object over time.

    Attributes:
        boxes: float32 ``[t, 4]``, ``x0, y0, x1, y1`` in pixels; NaN where there is none.
        found: bool ``[t]``, whether there is a box: one that was found, or that bridges a gap.
        outliers: bool ``[t]``, boxes that were given and not believed.
    """

    boxes: jax.Array
    found: jax.Array
    outliers: jax.Array


@jitted("window", "threshold", "tolerance", "gap", "sigma", nan=True)
@compiler_chooses()
def smooth(
    boxes: ArrayLike,
    found: ArrayLike,
    *,
    length: ArrayLike | None = None,
    window: int = 7,
    threshold: float = 3.0,
    tolerance: float = 0.2,
    gap: int = 5,
    sigma: float = 2.0,
) -> Track:
    """Smooth one track of boxes, robustly; frames are taken to be evenly spaced.

    Args:
        boxes: float ``[t, 4]``, ``x0, y0, x1, y1`` in pixels; whatever where nothing was found.
        found: bool ``[t]``, whether there is a box; one that is not finite does not count.
        length: int, frames that count, the rest being padding; ``None`` means all.
        window: frames of the running median, odd; 1 finds no outliers (static).
        threshold: robust standard deviations from the running median beyond which a box is an outlier, 3 in Pearson.
        tolerance: share of the running median's own side within which a box is never an outlier.
        gap: frames without a box, outliers among them, that are bridged at most; 0 bridges none (static).
        sigma: standard deviation of the Gaussian weights, in frames; 0 does not smooth (static).

    Returns:
        ``Track`` of the same number of frames.
    """
    boxes = as_array("boxes", boxes, "[t, 4]", jnp.float32)
    if boxes.shape[1] != 4:
        raise ValueError(f"boxes must be [t, 4], got shape {boxes.shape}")
    found = jnp.asarray(found, bool)
    if found.shape != boxes.shape[:1]:
        raise ValueError(f"found must be [{boxes.shape[0]}], one flag per frame, got shape {found.shape}")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"window must be odd and 1 or more, got {window}")
    if gap < 0 or not 0 <= sigma < math.inf:
        raise ValueError(f"gap and sigma must be 0 or more, got {gap} and {sigma}")
    if boxes.shape[0] == 0:
        return Track(boxes, found, found)
    if length is not None:
        found = found & (jnp.arange(boxes.shape[0]) < length)
    found = found & jnp.isfinite(boxes).all(1)
    outliers = _outliers(boxes, found, window // 2, threshold, tolerance)
    kept = found & ~outliers
    boxes, there = _bridge(boxes, kept, gap)
    if sigma:
        boxes = _smooth(boxes, there, sigma)
    return Track(jnp.where(there[:, None], boxes, jnp.nan), there, outliers)


def _around(values: jax.Array, radius: int) -> tuple[jax.Array, jax.Array]:
    """Each frame's neighbours ``[t, 2 radius + 1, …]``, and which of them exist."""
    places = jnp.arange(values.shape[0])[:, None] + jnp.arange(-radius, radius + 1)
    exists = (places >= 0) & (places < values.shape[0])
    return values[jnp.clip(places, 0, values.shape[0] - 1)], exists


def _median(values: jax.Array) -> jax.Array:
    """Over the second axis, without NaN; NaN where there is nothing else."""
    rising = jnp.sort(values, axis=1)  # NaN comes last
    number = jnp.sum(~jnp.isnan(values), axis=1, keepdims=True)
    middle = [jnp.take_along_axis(rising, jnp.maximum(number - odd, 0) // 2, axis=1) for odd in (0, 1)]
    return (middle[0] + middle[1])[:, 0] / 2


def _outliers(boxes: jax.Array, found: jax.Array, radius: int, threshold: float, tolerance: float) -> jax.Array:
    values, exists = _around(jnp.where(found[:, None], boxes, jnp.nan), radius)
    values = jnp.where(exists[..., None], values, jnp.nan)
    middle = _median(values)
    spread = _CONSISTENT * _median(jnp.abs(values - middle[:, None]))
    side = jnp.tile(middle[:, 2:] - middle[:, :2], 2)
    return found & (jnp.abs(boxes - middle) > jnp.maximum(threshold * spread, tolerance * side)).any(1)


def _bridge(boxes: jax.Array, kept: jax.Array, gap: int) -> tuple[jax.Array, jax.Array]:
    """Straight lines across gaps of at most ``gap`` frames, and where there is a box then; zeros elsewhere."""
    last = boxes.shape[0] - 1
    frames = jnp.arange(last + 1)
    before = jax.lax.cummax(jnp.where(kept, frames, -1))
    after = jax.lax.cummin(jnp.where(kept, frames, last + 1), reverse=True)
    there = kept | ((before >= 0) & (after <= last) & (after - before - 1 <= gap))
    start, end = boxes[jnp.clip(before, 0, last)], boxes[jnp.clip(after, 0, last)]
    share = (frames - before) / jnp.maximum(after - before, 1)
    line = start + share[:, None] * (end - start)
    return jnp.where(there[:, None], jnp.where(kept[:, None], boxes, line), 0), there


def _smooth(boxes: jax.Array, there: jax.Array, sigma: float) -> jax.Array:
    radius = math.ceil(_CUT * sigma)
    run = jnp.cumsum(jnp.concatenate([jnp.zeros(1, bool), there[1:] != there[:-1]]))
    runs, exists = _around(run, radius)
    steps = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    weights = jnp.exp(-((steps / sigma) ** 2) / 2) * (exists & (runs == run[:, None]))
    values = _around(boxes, radius)[0] - boxes[:, None]  # differences, so that what does not move stays exactly
    zeroth, first, second = (jnp.sum(weights * steps**power, axis=1) for power in range(3))
    level = jnp.einsum("tk,tkc->tc", weights, values, precision="highest")
    slope = jnp.einsum("tk,tkc->tc", weights * steps, values, precision="highest")
    determinant = zeroth * second - first**2
    line = (second[:, None] * level - first[:, None] * slope) / jnp.where(determinant > 0, determinant, 1)[:, None]
    smoothed = boxes + jnp.where(determinant[:, None] > 0, line, 0)
    low, high = smoothed[:, :2], smoothed[:, 2:]  # beyond its data a line may turn a thin box inside out
    return jnp.concatenate([jnp.minimum(low, high), jnp.maximum(low, high)], 1)
