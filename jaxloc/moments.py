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

from collections.abc import Mapping
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
    """The first two moments of a set of descriptors.

    Attributes:
        total: int32 ``[2]``: ``total[0] · 2²⁰ + total[1]`` descriptors; ``count`` gives a Python integer.
        mean: float32 ``[d]``.
        scatter: float32 ``[d, d]``, the sum of ``(x − mean)(x − mean)ᵀ``.
    """

    total: jax.Array
    mean: jax.Array
    scatter: jax.Array


def empty(dimension: int) -> Moments:
    """Moments of no descriptors of ``dimension`` numbers each: the identity of ``merge``."""
    return Moments(jnp.zeros(2, jnp.int32), jnp.zeros(dimension), jnp.zeros((dimension, dimension)))


@jitted()
def of(descriptors: ArrayLike, valid: ArrayLike | None = None) -> Moments:
    """Moments of one set of descriptors, however they are arranged; those of an empty set are zero.

    Args:
        descriptors: ``[..., d]``: a map, a batch of maps, or a list; all axes but the last are one set.
        valid: bool ``[...]``, True where a descriptor belongs to the set; ``None`` means everywhere.
    """
    x, keep = flagged(descriptors, valid)
    x = x.astype(jnp.float32)
    x = x.reshape(-1, x.shape[-1])
    keep = keep.reshape(-1)[:, None]
    number = keep.sum(dtype=jnp.int32)
    mean = jnp.where(keep, x, 0).sum(0) / jnp.maximum(number, 1)
    centred = jnp.where(keep, x - mean, 0)
    return Moments(jnp.stack(_words(number)), mean, _scatter(centred))


@jitted("count")
@compiler_chooses()
def of_segments(descriptors: ArrayLike, segments: ArrayLike, count: int, valid: ArrayLike | None = None) -> Moments:
    """Moments of each of several sets whose images share a batch.

    The work does not grow with the number of sets; each image takes ``d²`` numbers in passing.

    Args:
        descriptors: ``[n, ..., d]``: ``n`` images.
        segments: int ``[n]``: the set that each image belongs to, from 0; any other number means none.
        count: how many sets there are (static).
        valid: bool ``[n, ...]``, True where a descriptor counts; ``None`` means everywhere.

    Returns:
        ``Moments`` with a leading axis ``[count]``, to be merged under ``jax.vmap``; those of an empty set are zero.
    """
    x, keep = flagged(descriptors, valid)
    x = x.astype(jnp.float32)
    segments = jnp.asarray(segments)
    if segments.shape != x.shape[:1]:
        raise ValueError(f"segments must be {x.shape[:1]}, one set for each image, got {segments.shape}")
    known = (segments >= 0) & (segments < count)
    owner = jnp.where(known, segments, count)
    x = x.reshape(len(x), -1, x.shape[-1])
    keep = (keep.reshape(len(x), -1) & known[:, None])[..., None]

    def per_set(per_image: jax.Array) -> jax.Array:
        return jax.ops.segment_sum(per_image, owner, count + 1)[:count]

    number = per_set(keep.sum((1, 2), dtype=jnp.int32))
    mean = per_set(jnp.where(keep, x, 0).sum(1)) / jnp.maximum(number, 1)[:, None]
    centred = jnp.where(keep, x - mean[jnp.where(known, segments, 0), None], 0)
    scatter = jnp.einsum("npi,npj->nij", centred, centred, precision=jax.lax.Precision.HIGHEST)
    return Moments(jnp.stack(_words(number), -1), mean, per_set(scatter))


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
    return Moments(
        _normalise(a.total + b.total),
        a.mean + share * shift,
        a.scatter + b.scatter + (size_a * share) * jnp.outer(shift, shift),
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
    high, low = moments.total[0], moments.total[1]
    # Numbers below 2²⁴ pass through float32 unharmed, and no two devices write to one row.
    words = jnp.stack([high >> _HALF_WORD, high & ((1 << _HALF_WORD) - 1), low])
    row = jnp.concatenate([words.astype(jnp.float32), moments.mean])
    table = jnp.zeros((jax.lax.psum(1, axis_name), len(row))).at[jax.lax.axis_index(axis_name)].set(row)
    packed = jax.lax.psum(jnp.concatenate([table.ravel(), moments.scatter.ravel()]), axis_name)
    rows, scatter = packed[: table.size].reshape(table.shape), packed[table.size :].reshape(moments.scatter.shape)
    words = rows[:, : len(words)].astype(jnp.int32)
    totals = jnp.stack([(words[:, 0] << _HALF_WORD) + words[:, 1], words[:, 2]])
    total = _normalise(totals.sum(1))
    share = _as_float(totals) / jnp.maximum(_as_float(total), 1)
    means = rows[:, len(row) - len(moments.mean) :]
    mean = jnp.matmul(share, means, precision=jax.lax.Precision.HIGHEST)
    shifts = jnp.sqrt(_as_float(totals))[:, None] * (means - mean)
    return Moments(total, mean, scatter + jnp.matmul(shifts.T, shifts, precision=jax.lax.Precision.HIGHEST))


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

    ``moments.Accumulator(512)`` is empty; ``add`` merges what a device returned, ``merge`` what another accumulator
    holds. Memory is ``d² + d`` float64 numbers.
    """

    def __init__(self, dimension: int) -> None:
        self._count = 0
        self._mean = np.zeros(dimension)
        self._scatter = np.zeros((dimension, dimension))

    @property
    def count(self) -> int:
        """The number of descriptors so far."""
        return self._count

    def add(self, moments: Moments) -> None:
        """Merge the moments of one set."""
        check_rank("scatter", moments.scatter, "[d, d]")
        self._add(count(moments), np.asarray(moments.mean), np.asarray(moments.scatter))

    def merge(self, other: "Accumulator") -> None:
        """Merge the moments of another accumulator, which is unchanged."""
        self._add(other._count, other._mean, other._scatter)

    def _add(self, number: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if mean.shape != self._mean.shape:
            raise ValueError(f"moments of different dimension: {len(self._mean)} and {len(mean)}")
        if not number:
            return
        share = number / (self._count + number)
        shift = mean - self._mean
        weighted = self._count * share * shift
        # A few rows at a time: the outer product then never leaves the processor's cache.
        for start in range(0, len(shift), _ROWS):
            rows = slice(start, start + _ROWS)
            self._scatter[rows] += scatter[rows]
            self._scatter[rows] += weighted[rows, None] * shift
        self._mean += share * shift
        self._count += number

    def moments(self) -> Moments:
        """The sum so far in float32, as the methods take it."""
        mean, scatter = (jnp.asarray(part, jnp.float32) for part in (self._mean, self._scatter))
        return Moments(jnp.array(_words(self._count), jnp.int32), mean, scatter)

    def state(self) -> dict[str, np.ndarray]:
        """A copy of the sum so far, to be kept in a file: ``count`` int64, ``mean`` and ``scatter`` float64."""
        return {"count": np.array(self._count, np.int64), "mean": self._mean.copy(), "scatter": self._scatter.copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray]) -> Self:
        """The accumulator whose ``state`` this was."""
        mean, scatter = np.array(state["mean"], np.float64), np.array(state["scatter"], np.float64)
        if mean.ndim != 1 or scatter.shape != 2 * mean.shape:
            raise ValueError(f"mean and scatter must be [d] and [d, d], got {mean.shape} and {scatter.shape}")
        accumulator = cls(len(mean))
        accumulator._count, accumulator._mean, accumulator._scatter = int(state["count"]), mean, scatter
        return accumulator


def _scatter(centred: jax.Array) -> jax.Array:
    """Sum of ``xxᵀ`` over the rows ``[n, d]``; in bands from the diagonal on, for the rest is its mirror image."""
    undivided = _undivided(centred)
    dimension = centred.shape[1]
    width = -(-dimension // _BANDS) if dimension >= _WIDE else dimension
    bands = []
    for start in range(0, dimension, width):
        rows, columns = centred[:, start : start + width], centred[:, start:]
        band = jnp.einsum("ni,nj->ij", rows, columns, precision=jax.lax.Precision.HIGHEST, out_sharding=undivided)
        bands.append(jnp.pad(band, ((0, 0), (start, 0))))
    upper = jnp.triu(jnp.concatenate(bands))
    return upper + jnp.triu(upper, 1).T


def _undivided(rows: jax.Array) -> NamedSharding | None:
    """Where a sum over ``rows`` goes if Explicit mesh axes divide them: to every device alike."""
    sharding = jax.typeof(rows).sharding
    return NamedSharding(sharding.mesh, PartitionSpec()) if sharding.spec[0] is not None else None


def _words(number: _Number) -> tuple[_Number, _Number]:
    return number >> _WORD, number & ((1 << _WORD) - 1)


def _normalise(total: jax.Array) -> jax.Array:
    high, low = _words(total[1])
    return jnp.stack([total[0] + high, low])


def _as_float(total: jax.Array) -> jax.Array:
    return total[0].astype(jnp.float32) * float(1 << _WORD) + total[1].astype(jnp.float32)
