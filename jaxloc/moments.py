"""Count, mean and scatter of descriptors as a running sum that merges in any order, on any number of devices.

Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979. Memory is
``d² + d`` numbers however many descriptors there are. In float32 the first eigenvector of 10⁷ 512-dimensional
descriptors agrees with float64 to about 1e-5 degrees. The count is kept in two int32 words (2⁵¹ at most), because a
float32 counter stops at 2²⁴.

On one device ``of`` and ``merge`` are all that is needed. Over the devices of a mesh each takes the moments of its own
share inside ``jax.shard_map`` and ``psum`` merges them in one collective; ``of`` of a sharded array under plain
``jax.jit`` gives the same result in more. On the host an ``Accumulator`` merges in float64, which adds no rounding to
that of the parts: however a set is split over batches, devices and hosts, sums then agree to about 1e-6 of the largest.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import ArrayLike

from jaxloc._checks import check_rank
from jaxloc._descriptors import flagged
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses

_WORD = 20
_HALF_WORD = 16
_ROWS = 64
_BANDS = 4
_WIDE = 256
_Number = TypeVar("_Number", int, jax.Array)


class Moments(NamedTuple):
    """The first two moments of a set of descriptors, or of the descriptors of two layers at the same cells.

    Attributes:
        total: int32 ``[2]``: ``total[0] · 2²⁰ + total[1]`` descriptors; ``count`` gives a Python integer.
        mean: float32 ``[d]``; of two layers ``[d + d']``, one mean after the other.
        scatter: float32 ``[d, d]``, the sum of ``(x − mean)(x − mean)ᵀ``; of two layers ``[d, d']``, the sum of
            ``(x − mean)(x' − mean')ᵀ``.
        left_out: int32 ``[]``, descriptors of the set that are not finite (NaN or infinity) and count nowhere else.
    """

    total: jax.Array
    mean: jax.Array
    scatter: jax.Array
    left_out: jax.Array | np.int32 = np.int32(0)


@jitted("dimension")
def empty(dimension: int) -> Moments:
    """Moments of no descriptors of ``dimension`` numbers each: the identity of ``merge``."""
    scatter = jnp.zeros((dimension, dimension))
    return Moments(jnp.zeros(2, jnp.int32), jnp.zeros(dimension), scatter, jnp.zeros((), jnp.int32))


@jitted()
def of(descriptors: ArrayLike, valid: ArrayLike | None = None, *, below: ArrayLike | None = None) -> Moments:
    """Moments of one set of descriptors, however they are arranged; those of an empty set are zero.

    A descriptor that is not finite does not count; ``left_out`` says how many these are. The mean of equal descriptors
    is exact, so that rounding gives them no scatter.

    Args:
        descriptors: ``[..., d]``: a map, a batch of maps, or a list; all axes but the last are one set.
        valid: bool ``[...]``, True where a descriptor belongs to the set; ``None`` means everywhere.
        below: ``[..., d']``, descriptors of another layer at the same cells: the moments are those of both layers,
            which ``ddt.agree`` takes.
    """
    layers, keep, broken = _of_layers(descriptors, valid, below)
    keep = keep.reshape(-1)[:, None]
    number = keep.sum(dtype=jnp.int32)
    means, centred = [], []
    for x in layers:
        x = x.reshape(-1, x.shape[-1])
        mean = jnp.where(keep, x, 0).sum(0) / jnp.maximum(number, 1)
        means.append(_mean(mean, number, *_bounds(x, keep, 0)))
        centred.append(jnp.where(keep, x - means[-1], 0))
    scatter = _scatter(centred[0]) if below is None else _across(*centred)
    return Moments(jnp.stack(_words(number)), jnp.concatenate(means), scatter, broken.sum(dtype=jnp.int32))


@jitted("count")
@compiler_chooses()
def of_segments(
    descriptors: ArrayLike,
    segments: ArrayLike,
    count: int,
    valid: ArrayLike | None = None,
    *,
    below: ArrayLike | None = None,
) -> Moments:
    """Moments of each of several sets whose images share a batch.

    The work does not grow with the number of sets; each image takes ``d²`` numbers in passing.

    Args:
        descriptors: ``[n, ..., d]``: ``n`` images.
        segments: int ``[n]``: the set that each image belongs to, from 0; any other number means none.
        count: how many sets there are (static).
        valid: bool ``[n, ...]``, True where a descriptor counts; ``None`` means everywhere.
        below: ``[n, ..., d']``, descriptors of another layer at the same cells, as in ``of``.

    Returns:
        ``Moments`` with a leading axis ``[count]``, to be merged under ``jax.vmap``; those of an empty set are zero.
    """
    layers, keep, broken = _of_layers(descriptors, valid, below)
    segments, images = jnp.asarray(segments), len(keep)
    if segments.shape != (images,):
        raise ValueError(f"segments must be {(images,)}, one set for each image, got {segments.shape}")
    known = (segments >= 0) & (segments < count)
    owner = jnp.where(known, segments, count)
    keep = (keep.reshape(images, -1) & known[:, None])[..., None]

    def per_set(per_image: jax.Array, combine: Callable[..., jax.Array] = jax.ops.segment_sum) -> jax.Array:
        return combine(per_image, owner, count + 1)[:count]

    number = per_set(keep.sum((1, 2), dtype=jnp.int32))
    means, centred = [], []
    for x in layers:
        x = x.reshape(images, -1, x.shape[-1])
        low, high = _bounds(x, keep, 1)
        bounds = per_set(low, jax.ops.segment_min), per_set(high, jax.ops.segment_max)
        mean = per_set(jnp.where(keep, x, 0).sum(1)) / jnp.maximum(number, 1)[:, None]
        means.append(_mean(mean, number[:, None], *bounds))
        centred.append(jnp.where(keep, x - means[-1][jnp.where(known, segments, 0), None], 0))
    scatter = jnp.einsum("npi,npj->nij", centred[0], centred[-1], precision=jax.lax.Precision.HIGHEST)
    left_out = per_set(broken.reshape(images, -1).sum(1, dtype=jnp.int32))
    return Moments(jnp.stack(_words(number), -1), jnp.concatenate(means, -1), per_set(scatter), left_out)


@jitted()
def merge(a: Moments, b: Moments) -> Moments:
    """Moments of the union of two disjoint sets; associative and commutative up to rounding."""
    for moments in (a, b):
        check_rank("scatter", moments.scatter, "[d, d]")
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"moments of different dimension: {a.mean.shape[0]} and {b.mean.shape[0]}")
    size_a, size_b = _as_float(a.total), _as_float(b.total)
    share = size_b / jnp.maximum(size_a + size_b, 1)
    shift = b.mean - a.mean
    upper, lower = shift[: len(a.scatter)], shift[-a.scatter.shape[1] :]
    return Moments(
        _normalise(a.total + b.total),
        a.mean + share * shift,
        a.scatter + b.scatter + (size_a * share) * jnp.outer(upper, lower),
        jnp.asarray(a.left_out) + b.left_out,
    )


@jitted("axis_name")
def psum(moments: Moments, axis_name: str | tuple[str, ...]) -> Moments:
    """Merge the moments that the devices along a mesh axis hold, inside ``shard_map`` or ``pmap``; one all-reduce.

    The scatters are summed; the counts and means of the devices travel beside them, one row each, and are merged
    afterwards as ``merge`` does, on every device alike.

    Args:
        moments: this device's share.
        axis_name: the mesh axis, or several.
    """
    check_rank("scatter", moments.scatter, "[d, d]")
    (high, low), left_out = moments.total, jnp.asarray(moments.left_out)
    # Numbers below 2²⁴ pass through float32 unharmed, and no two devices write to one row.
    words = jnp.stack([*_halves(high), low, *_halves(left_out)])
    row = jnp.concatenate([words.astype(jnp.float32), moments.mean])
    table = jnp.zeros((jax.lax.psum(1, axis_name), len(row))).at[jax.lax.axis_index(axis_name)].set(row)
    packed = jax.lax.psum(jnp.concatenate([table.ravel(), moments.scatter.ravel()]), axis_name)
    rows, scatter = packed[: table.size].reshape(table.shape), packed[table.size :].reshape(moments.scatter.shape)
    words = rows[:, : len(words)].astype(jnp.int32)
    totals = jnp.stack([(words[:, 0] << _HALF_WORD) + words[:, 1], words[:, 2]])
    left_out = ((words[:, 3] << _HALF_WORD) + words[:, 4]).sum(dtype=jnp.int32)
    total = _normalise(totals.sum(1))
    share = _as_float(totals) / jnp.maximum(_as_float(total), 1)
    means = rows[:, len(row) - len(moments.mean) :]
    mean = jnp.matmul(share, means, precision=jax.lax.Precision.HIGHEST)
    mean = _mean(mean, _as_float(total), *_bounds(means, (share > 0)[:, None], 0))
    shifts = jnp.sqrt(_as_float(totals))[:, None] * (means - mean)
    upper, lower = shifts[:, : len(scatter)], shifts[:, -scatter.shape[1] :]
    return Moments(total, mean, scatter + jnp.matmul(upper.T, lower, precision=jax.lax.Precision.HIGHEST), left_out)


@jitted()
def covariance(moments: Moments) -> jax.Array:
    """Covariance ``[d, d]``, the scatter divided by the number of descriptors (DDT's equation 2)."""
    check_rank("scatter", moments.scatter, "[d, d]")
    return moments.scatter / jnp.maximum(_as_float(moments.total), 1)


def count(moments: Moments) -> int:
    """The exact number of descriptors, as a Python integer; on the host only."""
    high, low = (int(word) for word in jax.device_get(moments.total))
    return (high << _WORD) + low


class Accumulator:
    """Moments of ever more descriptors, merged on the host in float64.

    ``moments.Accumulator(512)`` is empty, and with ``below=256`` it is for the moments of two layers; ``add`` merges
    what a device returned, ``merge`` what another accumulator holds. Memory is ``d² + d`` float64 numbers.
    """

    def __init__(self, dimension: int, *, below: int = 0) -> None:
        self._count = self._left_out = 0
        self._mean = np.zeros(dimension + below)
        self._scatter = np.zeros((dimension, below or dimension))

    @property
    def count(self) -> int:
        """The number of descriptors so far."""
        return self._count

    def add(self, moments: Moments) -> None:
        """Merge the moments of one set."""
        check_rank("scatter", moments.scatter, "[d, d]")
        self._add(count(moments), np.asarray(moments.mean), np.asarray(moments.scatter), int(moments.left_out))

    def merge(self, other: "Accumulator") -> None:
        """Merge the moments of another accumulator, which is unchanged."""
        self._add(other._count, other._mean, other._scatter, other._left_out)

    def _add(self, number: int, mean: np.ndarray, scatter: np.ndarray, left_out: int) -> None:
        if mean.shape != self._mean.shape:
            raise ValueError(f"moments of different dimension: {len(self._mean)} and {len(mean)}")
        self._left_out += left_out
        if not number:
            return
        share = number / (self._count + number)
        shift = mean - self._mean
        weighted = self._count * share * shift
        # A few rows at a time: the outer product then never leaves the processor's cache.
        lower = shift[-scatter.shape[1] :]
        for start in range(0, len(scatter), _ROWS):
            rows = slice(start, min(start + _ROWS, len(scatter)))
            self._scatter[rows] += scatter[rows]
            self._scatter[rows] += weighted[rows, None] * lower
        self._mean += share * shift
        self._count += number

    def moments(self) -> Moments:
        """The sum so far in float32, as the methods take it."""
        mean, scatter = (jnp.asarray(part, jnp.float32) for part in (self._mean, self._scatter))
        return Moments(jnp.array(_words(self._count), jnp.int32), mean, scatter, jnp.int32(self._left_out))

    def state(self) -> dict[str, np.ndarray]:
        """A copy of the sum so far, to be kept in a file: ``count`` and ``left_out`` int64, others float64."""
        numbers = {"count": np.array(self._count, np.int64), "left_out": np.array(self._left_out, np.int64)}
        return numbers | {"mean": self._mean.copy(), "scatter": self._scatter.copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> Self:
        """The accumulator whose ``state`` this was; earlier versions kept no ``left_out``."""
        mean, scatter = np.array(state["mean"], np.float64), np.array(state["scatter"], np.float64)
        of_two = scatter.ndim == 2 and mean.shape == (sum(scatter.shape),)
        if mean.ndim != 1 or not (of_two or scatter.shape == 2 * mean.shape):
            raise ValueError(f"mean and scatter must be [d] and [d, d], got {mean.shape} and {scatter.shape}")
        accumulator = cls(0)
        accumulator._count, accumulator._mean, accumulator._scatter = int(state["count"]), mean, scatter
        accumulator._left_out = int(state.get("left_out", 0))
        return accumulator


def _of_layers(
    descriptors: ArrayLike, valid: ArrayLike | None, below: ArrayLike | None
) -> tuple[list[jax.Array], jax.Array, jax.Array]:
    """The descriptors of each layer in float32, which of them count, and which valid ones are not finite."""
    x, valid = flagged(descriptors, valid)
    layers = [x.astype(jnp.float32)]
    if below is not None:
        layers.append(jnp.asarray(below, jnp.float32))
        if layers[1].shape[:-1] != x.shape[:-1]:
            raise ValueError(f"below must be {(*x.shape[:-1], 'd')}, one descriptor per cell, got {layers[1].shape}")
    finite = functools.reduce(jnp.logical_and, [jnp.isfinite(x).all(-1) for x in layers])
    return layers, valid & finite, valid & ~finite


def _bounds(x: jax.Array, keep: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
    """The smallest and largest of the numbers to keep, along an axis, if all are equal; the infinite ones otherwise."""
    count = x.shape[axis]
    places = jnp.arange(count).reshape(-1, *[1] * (x.ndim - 1 - axis))
    first = jnp.where(keep, places, count).min(axis, initial=count, keepdims=True)
    value = jnp.where(places == first, x, 0).sum(axis, keepdims=True)
    equal = ((x == value) | ~keep).all(axis)
    some, value = (first < count).all(axis), value.squeeze(axis)
    low, high = jnp.where(equal, value, -jnp.inf), jnp.where(equal, value, jnp.inf)
    return jnp.where(some, low, jnp.inf), jnp.where(some, high, -jnp.inf)


def _mean(mean: jax.Array, number: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """A mean of numbers within bounds, which rounding may have left: that of equal numbers is exact."""
    return jnp.where(number > 0, mean + jax.lax.stop_gradient(jnp.clip(mean, low, high) - mean), 0)


def _across(upper: jax.Array, lower: jax.Array) -> jax.Array:
    """Sum of ``xyᵀ`` over the rows ``[n, d]`` and ``[n, d']``."""
    return jnp.einsum("ni,nj->ij", upper, lower, precision=jax.lax.Precision.HIGHEST, out_sharding=_undivided(upper))


def _scatter(centred: jax.Array) -> jax.Array:
    """Sum of ``xxᵀ`` over the rows ``[n, d]``; in bands from the diagonal on, for the rest is its mirror image."""
    dimension = centred.shape[1]
    width = -(-dimension // _BANDS) if dimension >= _WIDE else dimension
    bands = []
    for start in range(0, dimension, width):
        band = _across(centred[:, start : start + width], centred[:, start:])
        bands.append(jnp.pad(band, ((0, 0), (start, 0))))
    upper = jnp.triu(jnp.concatenate(bands))
    return upper + jnp.triu(upper, 1).T


def _undivided(rows: jax.Array) -> NamedSharding | None:
    """Where a sum over ``rows`` goes if Explicit mesh axes divide them: to every device alike."""
    sharding = jax.typeof(rows).sharding
    return NamedSharding(sharding.mesh, PartitionSpec()) if sharding.spec[0] is not None else None


def _halves(number: jax.Array) -> tuple[jax.Array, jax.Array]:
    return number >> _HALF_WORD, number & ((1 << _HALF_WORD) - 1)


def _words(number: _Number) -> tuple[_Number, _Number]:
    return number >> _WORD, number & ((1 << _WORD) - 1)


def _normalise(total: jax.Array) -> jax.Array:
    high, low = _words(total[1])
    return jnp.stack([total[0] + high, low])


def _as_float(total: jax.Array) -> jax.Array:
    return total[0].astype(jnp.float32) * float(1 << _WORD) + total[1].astype(jnp.float32)
