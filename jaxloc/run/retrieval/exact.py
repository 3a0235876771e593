"""Exact search by cosine, in blocks, so that a gallery may be larger than memory, on every local device."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxloc import ranking
from jaxloc.run.retrieval.vectors import SearchedVectors

_AXIS = "gallery"


@dataclasses.dataclass(frozen=True)
class Ranked:
    """The first results of each query.

    Attributes:
        rows: int64 ``[q, top]``, of the gallery, best first.
        scores: float32 ``[q, top]``: the cosine, or the score of re-ranking; -inf for an image without an object.
    """

    rows: np.ndarray
    scores: np.ndarray


def nearest(queries: np.ndarray, vectors: SearchedVectors, k: int) -> Ranked:
    """The k rows of largest cosine, exactly, for a gallery of any size.

    Each block of the gallery is divided among the local devices, which search their own rows.
    """
    devices = jax.local_devices()
    mesh = Mesh(np.array(devices), (_AXIS,), axis_types=(AxisType.Auto,)) if len(devices) > 1 else None
    best = ranking.empty(len(queries), k)
    for start, part in vectors.parts():
        best = _merge(best, _search(queries, *_divide(part, mesh), start, k=k, mesh=mesh))
    return Ranked(np.asarray(best.indices, np.int64), np.asarray(best.scores))


def _divide(part: np.ndarray, mesh: Mesh | None) -> tuple[jax.Array, jax.Array]:
    """A block on the devices, padded to a multiple of their number, and which of its rows are valid."""
    valid = np.ones(len(part), bool)
    if mesh is None:
        return jnp.asarray(part), jnp.asarray(valid)
    missing = -len(part) % mesh.size
    rows = NamedSharding(mesh, PartitionSpec(_AXIS))
    padded = np.pad(part, ((0, missing), (0, 0))) if missing else part
    return jax.device_put(padded, rows), jax.device_put(np.pad(valid, (0, missing)), rows)


@jax.jit
def _merge(a: ranking.TopK, b: ranking.TopK) -> ranking.TopK:
    return ranking.merge(a, b)


@functools.partial(jax.jit, static_argnames=("k", "mesh"))
def _search(
    queries: jax.Array, part: jax.Array, valid: jax.Array, start: jax.Array, *, k: int, mesh: Mesh | None
) -> ranking.TopK:
    if mesh is None:
        return ranking.top_k(queries, part, k=k, valid=valid, offset=start)
    found = ranking.sharded_top_k(queries, part, k=k, mesh=mesh, axis=_AXIS, valid=valid)
    return found._replace(indices=jnp.where(found.valid, found.indices + start, -1))
