"""Expanding Gaussian mixture: the regions of a saliency map, as many as there are.

Section 3.4 of Siméoni et al., after Avrithis & Kalantidis, "Approximate Gaussian mixtures for large scale
vocabularies", ECCV 2012. Every salient cell begins as a component. In each iteration components are fitted to the map
(expectation and maximisation), and those that overlap heavier ones are purged, until none is.

Cell (y, x) covers [x, x + 1) × [y, y + 1), its centre is the sample. Deviations from the paper: sums over samples are
weighed by their saliency, without which the printed M-step ignores it; the overlap is 0.55, as at 0.5 a symmetric
map keeps exact twins. Settled where the paper is silent: the iteration stops once nothing is purged and nothing moves
by more than 1e-3 of a cell, and a rectangle is that whose uniform distribution has the component's variance, so a
uniform rectangle of cells comes back exactly. To automatic differentiation regions are constants.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._derivatives import power
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses, varying_as
from jaxloc.grids import map_size, valid_cells

_TOLERANCE = 1e-3
_LEAST = 1e-12  # A component of less weight is none.
_COMPACT = 64  # Slots that hold what is left after the first iteration, but for maps of many small objects.
_CELL = 1 / 12  # Variance of a uniform distribution over one cell.
_ROUNDING = 1e-4  # Cells: an edge may pass a centre by this much.


class Setting(NamedTuple):
    """How a saliency map is turned into regions.

    Attributes:
        threshold: ``τ``, the share of the maximum that a salient cell exceeds.
        exponent: ``ρ``, above 0, by which contrast is raised.
        variance: ``σ``, of a sample, in square cells.
    """

    threshold: float
    exponent: float
    variance: float


SETTINGS = {
    "features": Setting(0.5, 1.0, 4.0),
    "features, paper": Setting(0.4, 5.0, 2.5),
    "objects": Setting(0.1, 0.5, 4.0),
    "objects, paper": Setting(0.0, 2.0, 2.0),
}
"""Of feature and object saliency: for boxes, and the paper's, which are for vectors and too tight for boxes."""


class Regions(NamedTuple):
    """The regions of one map, heaviest first.

    Attributes:
        cells: int32 ``[r, 4]``, ``x0, y0, x1, y1`` of the cells whose centres a region holds, half-open, never empty.
        edges: float32 ``[r, 4]``, the rectangles in cells.
        weights: float32 ``[r]``, ``π``, shares of the map's saliency.
        means: float32 ``[r, 2]``, ``x, y`` in cells.
        variances: float32 ``[r, 2]``, without the samples' own.
        valid: bool ``[r]``, True where a slot holds a region; the rest are zeros.
        iterations: int32 ``[]``.
    """

    cells: jax.Array
    edges: jax.Array
    weights: jax.Array
    means: jax.Array
    variances: jax.Array
    valid: jax.Array
    iterations: jax.Array


class _Components(NamedTuple):
    """Slots in raster order of the cells that components began at."""

    weights: jax.Array
    means: jax.Array
    variances: jax.Array
    valid: jax.Array
    iterations: jax.Array
    unfinished: jax.Array


@jitted("threshold", "exponent")
def contrast(saliency: ArrayLike, *, threshold: ArrayLike, exponent: ArrayLike) -> jax.Array:
    """Saliency above a share of its maximum, raised to a power (section 4.1).

    Args:
        saliency: ``[h, w]``, non-negative; zero outside the valid cells.
        threshold: ``τ``; a cell must exceed it, as a share of the maximum.
        exponent: ``ρ``, above 0.

    Returns:
        float32 ``[h, w]`` in [0, 1].
    """
    saliency = as_array("saliency", saliency, "[h, w]", jnp.float32)
    if isinstance(exponent, float | int) and not exponent > 0:
        raise ValueError(f"exponent must be above 0, got {exponent}: at 0 the background would count in full")
    largest = saliency.max()
    share = saliency / jnp.where(largest > 0, largest, 1)
    return power(jnp.where(share > threshold, share, 0), exponent)


@jitted("setting", "overlap", "slots")
@compiler_chooses()
def find_regions(
    saliency: ArrayLike,
    *,
    setting: Setting = SETTINGS["features"],
    size: ArrayLike | None = None,
    overlap: float = 0.55,
    iterations: ArrayLike = 30,
    slots: int = 16,
) -> Regions:
    """The regions of a saliency map: its contrast, and the expanding Gaussian mixture of that.

    Args:
        saliency: ``[h, w]``, non-negative.
        setting: threshold, exponent and variance (static).
        size: int ``[2]``, valid rows and columns of ``saliency``; ``None`` means all.
        overlap: ``o``, the share of its own responsibility that a component keeps among heavier ones (static).
        iterations: maximum number of iterations, int ``[]``.
        slots: number of regions kept at most (static).

    Raises:
        ValueError: not one map, a variance or exponent of 0 or less, or an overlap outside (0, 1).
    """
    saliency = as_array("saliency", saliency, "[h, w]", jnp.float32)
    threshold, exponent, variance = setting
    if not variance > 0:
        raise ValueError(f"variance must be above 0, got {variance}")
    if not 0 < overlap < 1:
        raise ValueError(f"overlap must be between 0 and 1, got {overlap}")
    inside = jnp.where(valid_cells(size, saliency.shape), saliency, 0)
    samples = contrast(jax.lax.stop_gradient(inside), threshold=threshold, exponent=exponent)
    found = _fit(samples, variance, (1 - overlap) / overlap, iterations)
    kept = min(slots, found.weights.size)
    weights, first = jax.lax.top_k(jnp.where(found.valid, found.weights, 0), kept)
    means, variances, valid = found.means[first], found.variances[first], weights > 0
    limit = map_size(size, saliency.shape)[::-1]
    half = jnp.sqrt(3 * (variances + _CELL))
    edges = jnp.concatenate([jnp.clip(means - half, 0, limit), jnp.clip(means + half, 0, limit)], 1)
    low, high = jnp.split(jnp.ceil(edges - 0.5 - _ROUNDING).astype(jnp.int32), 2, axis=1)
    middle = jnp.clip(jnp.floor((edges[:, :2] + edges[:, 2:]) / 2).astype(jnp.int32), 0, limit - 1)
    empty = high <= low
    cells = jnp.concatenate([jnp.where(empty, middle, low), jnp.minimum(jnp.where(empty, middle + 1, high), limit)], 1)

    def padded(values: jax.Array) -> jax.Array:
        used = jnp.where(valid.reshape(-1, *[1] * (values.ndim - 1)), values, jnp.zeros_like(values))
        return jnp.pad(used, ((0, slots - kept), *[(0, 0)] * (values.ndim - 1)))

    values = {"cells": cells, "edges": edges, "weights": weights, "means": means, "variances": variances}
    return Regions(**jax.tree.map(padded, values), valid=padded(valid), iterations=found.iterations)


def _fit(samples: jax.Array, variance: float, allowed: float, iterations: ArrayLike) -> _Components:
    """Iterate with a slot for every cell, and once few components are left with fewer slots."""
    height, width = samples.shape
    number = height * width
    row, column = jnp.divmod(jnp.arange(number), width)
    places = jnp.stack([column, row], 1).astype(jnp.float32) + 0.5
    total = samples.sum()
    mass = samples.ravel() / jnp.where(total > 0, total, 1)

    def step(now: _Components) -> _Components:
        return _iterate(now, places, mass, variance, allowed)

    def unfinished(now: _Components) -> jax.Array:
        return now.unfinished & (now.iterations < iterations)

    def many(now: _Components) -> jax.Array:
        return unfinished(now) & (now.valid.sum() > _COMPACT)

    start = _Components(mass, places, jnp.zeros_like(places), mass > 0, jnp.int32(0), total > 0)
    start = varying_as(mass, start)
    if number > _COMPACT:
        start = jax.lax.while_loop(many, step, start)
        heaviest = jnp.sort(jax.lax.top_k(jnp.where(start.valid, start.weights, -1), _COMPACT)[1])
        weights, means, variances, valid = (values[heaviest] for values in start[:4])
        start = start._replace(weights=weights, means=means, variances=variances, valid=valid)
    return jax.lax.while_loop(unfinished, step, start)


def _iterate(now: _Components, places: jax.Array, mass: jax.Array, variance: float, allowed: float) -> _Components:
    """One expectation, maximisation and purge."""
    own = jnp.where(now.valid, jnp.log(jnp.where(now.valid, now.weights, 1)), -jnp.inf)
    spread = jnp.where(now.valid[:, None], now.variances, 1) + 2 * variance
    shares = jax.nn.softmax(_log_normal(places[:, None] - now.means, spread) + own, axis=1)
    shares = shares * mass[:, None]
    weights = shares.sum(0)
    divisor = jnp.where(weights > 0, weights, 1)[:, None]
    means = jnp.matmul(shares.T, places, precision=jax.lax.Precision.HIGHEST) / divisor
    away = jnp.square(places[:, None] - means)
    variances = (shares[..., None] * away).sum(0) / divisor
    kept = _purge(weights, means, variances + variance, now.valid & (weights > _LEAST), allowed)
    moved = jnp.maximum(jnp.abs(means - now.means), jnp.abs(jnp.sqrt(variances) - jnp.sqrt(now.variances)))
    moving = jnp.where(kept[:, None], moved, 0).max() >= _TOLERANCE
    return _Components(weights, means, variances, kept, now.iterations + 1, (kept != now.valid).any() | moving)


def _purge(weights: jax.Array, means: jax.Array, variances: jax.Array, alive: jax.Array, allowed: float) -> jax.Array:
    """The components that the greedy purge keeps, heaviest first, of equals the first in raster order.

    Component i stays if ``Σ_j ⟨q_i, q_j⟩ ≤ ⟨q_i, q_i⟩ (1 − o) / o`` over the heavier ones kept. That is the only
    fixed point of what is iterated here, and a few turns reach it.
    """
    order = jnp.argsort(jnp.where(alive, -weights, jnp.inf), stable=True)
    weights, means, variances, alive = (values[order] for values in (weights, means, variances, alive))
    cross = jnp.exp(_log_normal(means[:, None] - means, variances[:, None] + variances))
    cross = cross * jnp.where(alive, weights, 0)  # ⟨q_i, q_j⟩ / π_i
    most = jnp.diagonal(cross) * allowed
    heavier = jnp.tril(cross, -1)

    def sweep(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        keep, _ = state
        total = jnp.matmul(heavier, keep.astype(jnp.float32), precision=jax.lax.Precision.HIGHEST)
        found = alive & (total <= most)
        return found, (found != keep).any()

    keep, _ = jax.lax.while_loop(lambda state: state[1], sweep, (alive, alive.any()))
    return jnp.zeros_like(keep).at[order].set(keep)


def _log_normal(away: jax.Array, variances: jax.Array) -> jax.Array:
    """Logarithm of the density at ``away`` from the mean, both ``[..., 2]``, of a diagonal covariance."""
    return -0.5 * (jnp.square(away) / variances + jnp.log(2 * jnp.pi * variances)).sum(-1)
