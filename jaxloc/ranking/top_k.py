"""Exact top-k search: the rows of a gallery with the largest inner products, for any number of rows and devices.

With vectors of unit length (``pooling.l2_normalize``) the inner product is the cosine. The scores of a block of
queries and a chunk of the gallery are the most that is ever held. Within a chunk the maxima of small groups of
consecutive rows are compared first: the best k rows lie in the k groups of largest maximum, and a group whose maximum
does not exceed the k-th best score of the chunks before it holds none, so that full sorting sees few scores.

The order is total, so chunks, shards and machines do not change it: larger score first, then lower index. A gallery
row of zeros (an image whose mask is empty) has no direction; it scores −inf and follows every other row, as does a
row whose score is not a number.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, reshard
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_flags
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses

_LOWEST = float(np.finfo(np.float32).min)
_QUERIES = 1024
_SMALL = 2048  # A gallery that is sorted as it is: the rest would cost more to compile than it saves.


class TopK(NamedTuple):
    """The best k gallery rows of each query, best first.

    Attributes:
        scores: float32 ``[q, k]``, falling along k; −inf for a zero vector and where not ``valid``.
        indices: int32 ``[q, k]``, rows of the gallery; −1 where not ``valid``.
        valid: bool ``[q, k]``, False at the end of a list when the gallery has fewer than k rows.
    """

    scores: jax.Array
    indices: jax.Array
    valid: jax.Array


@jitted("k", "chunk")
@compiler_chooses(rows=True)
def top_k(
    queries: ArrayLike,
    gallery: ArrayLike,
    *,
    k: int,
    valid: ArrayLike | None = None,
    offset: ArrayLike = 0,
    chunk: int | None = None,
) -> TopK:
    """The k gallery rows of largest inner product with each query, exactly.

    A gallery larger than memory is streamed by the host, part by part::

        best = empty(len(queries), k)
        for start, part in parts:
            best = merge(best, top_k(queries, part, k=k, offset=start))

    Indices are int32. Beyond 2³¹ rows keep one list per range of 2³¹ rows; on the host, add int64 starts and sort.

    Args:
        queries: ``[q, d]``, of unit length for cosines.
        gallery: ``[n, d]``, likewise; lower precisions are scored in float32.
        k: the length of the lists (static).
        valid: bool ``[n]``, False for rows to leave out; ``None`` means all are valid.
        offset: int, added to the indices: the number of the gallery's first row.
        chunk: gallery rows scored at once (static); ``None`` bounds a chunk and its scores to 64 MB each, on a
            CPU to 16 MB. It does not change the result.
    """
    queries, gallery, valid = _check(queries, gallery, valid, k)
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    count, dimension = queries.shape
    if 0 in (count, len(gallery)):
        return empty(count, k)
    block = min(count, _QUERIES)
    if chunk is None:
        # The caches of a CPU hold a small block; an accelerator wants few steps.
        size = 2**22 if jax.default_backend() == "cpu" else 2**24
        chunk = max(size // max(block, dimension), 1)
    blocks = jnp.pad(queries, ((0, -count % block), (0, 0))).reshape(-1, block, dimension)
    keys, indices = jax.lax.map(lambda some: _search(some, gallery, valid, k, chunk), blocks)
    return _result(keys.reshape(-1, k)[:count], indices.reshape(-1, k)[:count], offset)


@jitted("queries", "k")
def empty(queries: int, k: int) -> TopK:
    """The lists of an empty gallery: the identity of ``merge``."""
    shape = (queries, k)
    return TopK(jnp.full(shape, -jnp.inf), jnp.full(shape, -1, jnp.int32), jnp.zeros(shape, bool))


@jitted()
def merge(a: TopK, b: TopK) -> TopK:
    """The lists of the union of two galleries whose indices are disjoint; associative and commutative.

    Args:
        a: the lists of one gallery.
        b: those of another for the same queries, with the same k.
    """
    if a.scores.shape != b.scores.shape:
        raise ValueError(f"lists of different shapes: {a.scores.shape} and {b.scores.shape}")
    keys = jnp.concatenate([_keys(a), _keys(b)], -1)
    indices = jnp.concatenate([a.indices, b.indices], -1)
    falling, indices = jax.lax.sort((-keys, indices), num_keys=2)
    k = a.scores.shape[-1]
    return _result(-falling[..., :k], indices[..., :k])


@jitted("k", "chunk")
@compiler_chooses(rows=True)
def nearest_others(vectors: ArrayLike, *, k: int, valid: ArrayLike | None = None, chunk: int | None = None) -> TopK:
    """The k nearest other rows of every row of a set, itself left out (but not its duplicates).

    Args:
        vectors: ``[n, d]``, of unit length for cosines.
        k: the length of the lists (static).
        valid: bool ``[n]``, False for rows that are nobody's neighbours; ``None`` means all are valid.
        chunk: as in ``top_k`` (static).
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    found = top_k(vectors, vectors, k=k + 1, valid=valid, chunk=chunk)
    own = found.indices == jnp.arange(len(found.indices), dtype=jnp.int32)[:, None]
    # With more than k duplicates a row may miss itself: then the last of the list goes.
    place = jnp.where(own.any(1), own.argmax(1), k)[:, None]
    places = jnp.arange(k) + (jnp.arange(k) >= place)
    return TopK(*[jnp.take_along_axis(x, places, 1) for x in found])


@jitted("k", "mesh", "axis", "chunk")
def sharded_top_k(
    queries: ArrayLike,
    gallery: ArrayLike,
    *,
    k: int,
    mesh: Mesh,
    axis: str,
    valid: ArrayLike | None = None,
    chunk: int | None = None,
) -> TopK:
    """``top_k`` over a gallery whose rows are divided among devices; the same lists on all of them.

    Each device searches its own rows; only k candidates per query and device travel. A gallery whose length the
    devices do not divide is padded, which copies it: pad a large one beforehand and pass ``valid``.

    Args:
        queries: ``[q, d]``, the same on all devices.
        gallery: ``[n, d]``, divided along ``axis`` in order.
        k: the length of the lists (static).
        mesh: the devices; its axes may be Auto or Explicit.
        axis: the mesh axis that divides the gallery.
        valid: bool ``[n]``; ``None`` means all rows are valid.
        chunk: as in ``top_k`` (static).
    """
    queries, gallery, valid = _check(queries, gallery, valid, k)
    if axis not in mesh.axis_names:
        raise ValueError(f"the mesh has no axis {axis!r}, only {', '.join(map(repr, mesh.axis_names))}")
    missing = -len(gallery) % mesh.shape[axis]
    if missing:
        gallery, valid = jnp.pad(gallery, ((0, missing), (0, 0))), jnp.pad(valid, (0, missing))

    def search(queries: jax.Array, part: jax.Array, part_valid: jax.Array) -> TopK:
        start = jax.lax.axis_index(axis) * len(part)
        own = top_k(queries, part, k=k, valid=part_valid, offset=start, chunk=chunk)
        # Devices come in the order of their rows, so equal scores already stand in the order of their indices.
        keys, indices = (jax.lax.all_gather(x, axis, axis=1, tiled=True) for x in (_keys(own), own.indices))
        return _result(*_best(keys, indices, k))

    specs = PartitionSpec(), PartitionSpec(axis), PartitionSpec(axis)
    arrays = queries, gallery, valid
    if AxisType.Explicit in mesh.axis_types:
        arrays = tuple(reshard(x, NamedSharding(mesh, spec)) for x, spec in zip(arrays, specs, strict=True))
    shard = jax.shard_map(search, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False)
    return shard(*arrays)


def _search(
    queries: jax.Array, gallery: jax.Array, valid: jax.Array, k: int, chunk: int
) -> tuple[jax.Array, jax.Array]:
    """Keys and indices of the best rows for one block of queries, chunk by chunk."""
    length = len(gallery)
    if length <= min(_SMALL, chunk):
        ceiling = _ceiling(_directed(gallery), valid)
        keys = _clean(jnp.matmul(queries, gallery.astype(jnp.float32).T, precision=jax.lax.Precision.HIGHEST), ceiling)
        missing = max(0, k - length)
        keys = jnp.pad(keys, ((0, 0), (0, missing)), constant_values=-jnp.inf)
        indices = jnp.pad(jnp.arange(length, dtype=jnp.int32), (0, missing), constant_values=-1)
        return _best(keys, jnp.broadcast_to(indices, keys.shape), k)
    steps = math.ceil(length / chunk)
    group = _group_size(math.ceil(length / steps), k)
    chunk = math.ceil(math.ceil(length / steps) / group) * group
    if chunk > length:
        gallery, valid = jnp.pad(gallery, ((0, chunk - length), (0, 0))), jnp.pad(valid, (0, chunk - length))

    def step(best: tuple[jax.Array, jax.Array], first: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        # The last chunk starts early enough to be whole; what it repeats is left out.
        start = jnp.minimum(first, len(gallery) - chunk)
        rows = jax.lax.dynamic_slice_in_dim(gallery, start, chunk).astype(jnp.float32)
        keep = jax.lax.dynamic_slice_in_dim(valid, start, chunk) & (start + jnp.arange(chunk) >= first)
        scores = jnp.matmul(queries, rows.T, precision=jax.lax.Precision.HIGHEST)
        # A row of zeros scores 0 with any query, or NaN: the rows are read again only if there may be one.
        directed = jax.lax.cond(
            (jnp.abs(scores[0]) > 0).all(), lambda: jnp.ones_like(rows[:, 0], bool), lambda: _directed(rows)
        )
        ceiling = _ceiling(directed, keep)
        return _update(best, scores, ceiling, start, group), None

    # Like queries and gallery, not constants: inside shard_map both ways through a branch must be of one type.
    nothing = jnp.zeros_like(queries, shape=(), dtype=jnp.int32) + jnp.zeros_like(gallery, shape=(), dtype=jnp.int32)
    init = jnp.full((len(queries), k), -jnp.inf) + nothing, jnp.full((len(queries), k), -1, jnp.int32) + nothing
    return jax.lax.scan(step, init, jnp.arange(steps, dtype=jnp.int32) * chunk + nothing)[0]


def _directed(rows: jax.Array) -> jax.Array:
    """Whether each row has a direction."""
    return (rows != 0).any(-1)


def _ceiling(directed: jax.Array, keep: jax.Array) -> jax.Array:
    """The most that each row's key can be: anything, the last place for zeros, nothing for rows left out."""
    return jnp.where(keep, jnp.where(directed, jnp.inf, _LOWEST), -jnp.inf)


def _group_size(chunk: int, k: int) -> int:
    """A power of two near ``√(chunk / k)``, where choosing groups and choosing among their rows cost the same."""
    return 2 ** min(max(round(math.log2(chunk / k) / 2), 0), 6)


def _update(
    best: tuple[jax.Array, jax.Array], scores: jax.Array, ceiling: jax.Array, start: jax.Array, group: int
) -> tuple[jax.Array, jax.Array]:
    """Merge a chunk's scores ``[q, chunk]`` into the best so far, all of whose indices are lower."""
    count, chunk = scores.shape
    groups, k = chunk // group, best[0].shape[1]
    grouped, ceiling = scores.reshape(count, groups, group), ceiling.reshape(groups, group)
    maxima = grouped.max(-1)
    # Rows that need cleaning are rare, and the maxima of scores as they are cost a third as much on a CPU.
    plain = (ceiling == jnp.inf).all() & ~jnp.isnan(maxima).any()
    maxima = jax.lax.cond(plain, lambda: _clean(maxima, jnp.inf), lambda: _clean(grouped, ceiling).max(-1))
    hopeful = maxima > best[0][:, -1:]
    most = min(k, groups)
    sizes = sorted({0, most} | {most * part // 8 for part in (1, 2, 3, 4, 6)})

    def take(size: int) -> tuple[jax.Array, jax.Array]:
        if not size:
            return best
        chosen = jax.lax.top_k(jnp.where(hopeful, maxima, -jnp.inf), size)[1]
        chosen = jax.lax.sort(chosen, dimension=1)
        flat = chosen + jnp.arange(count, dtype=jnp.int32)[:, None] * groups
        found = grouped.reshape(-1, group).at[flat].get(mode="promise_in_bounds")
        keys = _clean(found, ceiling.at[chosen].get(mode="promise_in_bounds"))
        indices = start + chosen[:, :, None] * group + jnp.arange(group, dtype=jnp.int32)
        keys = jnp.concatenate([best[0], keys.reshape(count, -1)], 1)
        return _best(keys, jnp.concatenate([best[1], indices.reshape(count, -1)], 1), k)

    needed = jnp.minimum(hopeful.sum(1).max(), most)
    branch = (jnp.array(sizes) < needed).sum()
    return jax.lax.switch(branch, [lambda size=size: take(size) for size in sizes])


def _best(keys: jax.Array, indices: jax.Array, k: int) -> tuple[jax.Array, jax.Array]:
    """The k largest keys, of equals the first."""
    keys, places = jax.lax.top_k(keys, k)
    rows = jnp.arange(len(keys))[:, None]
    return keys, indices.at[rows, places].get(mode="promise_in_bounds")


def _clean(scores: jax.Array, ceiling: ArrayLike) -> jax.Array:
    """Keys of scores: real ones as they are (−0 as 0), then rows without a direction, then rows left out (−inf)."""
    scores = jnp.where(scores == 0, 0, jnp.where(scores >= _LOWEST, scores, _LOWEST))
    return jnp.minimum(scores, ceiling)


def _keys(found: TopK) -> jax.Array:
    return jnp.where(found.valid, jnp.maximum(found.scores, _LOWEST), -jnp.inf)


def _result(keys: jax.Array, indices: jax.Array, offset: ArrayLike = 0) -> TopK:
    valid = keys > -jnp.inf
    indices = jnp.where(valid, indices + jnp.asarray(offset, jnp.int32), -1)
    return TopK(jnp.where(keys > _LOWEST, keys, -jnp.inf), indices, valid)


def check_lists(queries: ArrayLike, gallery: ArrayLike, found: TopK) -> tuple[jax.Array, jax.Array]:
    """Queries and gallery as arrays, with a list for each query."""
    queries, gallery = as_array("queries", queries, "[q, d]", jnp.float32), as_array("gallery", gallery, "[n, d]")
    if len(found.indices) != len(queries):
        raise ValueError(f"{len(found.indices)} lists for {len(queries)} queries")
    return queries, gallery


def _check(
    queries: ArrayLike, gallery: ArrayLike, valid: ArrayLike | None, k: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    queries = as_array("queries", queries, "[q, d]", jnp.float32)
    gallery = as_array("gallery", gallery, "[n, d]")
    if queries.shape[1] != gallery.shape[1]:
        raise ValueError(f"queries of {queries.shape[1]} dimensions cannot search a gallery of {gallery.shape[1]}")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    return queries, gallery, as_flags(valid, gallery.shape[:1], "gallery row")
