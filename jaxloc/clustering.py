"""k-means clusters of descriptors, from sums that merge over batches, devices and hosts.

Lloyd, "Least squares quantization in PCM", 1982; Arthur & Vassilvitskii, "k-means++: the advantages of careful
seeding", SODA 2007.

One pass over the descriptors gives sums; ``merge`` or ``psum`` adds them, in any order; an update turns them into the
next model. ``lloyd`` repeats that in memory. Beyond the descriptors memory holds one block of them, never
``[n, k, d]``. Sums are kept relative to the centres they were taken with, and distances are sums of squared
differences, so that float32 keeps its digits far from the origin. Deviations from scikit-learn: seeding draws one
candidate per centre, and an empty cluster keeps its centre.
"""

from typing import NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import check_rank
from jaxloc._descriptors import flatten, sum_over_blocks
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses


class KMeans(NamedTuple):
    """Cluster centres, float32 ``[k, d]``."""

    centers: jax.Array


class KMeansSums(NamedTuple):
    """What one pass adds up over the descriptors of each cluster; belongs to the model it was taken with.

    Attributes:
        counts: int32 ``[k]``, exact up to 2³¹ descriptors in a cluster.
        sums: float32 ``[k, d]``, the sum of ``x − c_k``.
        inertia: float32, the sum over all clusters of ``‖x − c_k‖²``.
    """

    counts: jax.Array
    sums: jax.Array
    inertia: jax.Array


class KMeansFit(NamedTuple):
    """A fitted k-means.

    Attributes:
        model: ``KMeans``.
        inertia: float32, the sum of squared distances to the nearest of these centres.
        iterations: int32, updates made.
        converged: bool, False if the iterations ran out first.
    """

    model: KMeans
    inertia: jax.Array
    iterations: jax.Array
    converged: jax.Array


class _ModelSums(Protocol):
    @property
    def sums(self) -> jax.Array: ...


Sums = TypeVar("Sums", bound=_ModelSums)


@jitted()
def merge(a: Sums, b: Sums) -> Sums:
    """Sums of the union of two disjoint sets of descriptors, both taken with the same model."""
    for sums in (a, b):
        check_rank("sums.sums", sums.sums, "[k, d]")
    if type(a) is not type(b) or a.sums.shape != b.sums.shape:
        raise ValueError(
            f"sums of different models: {type(a).__name__} {a.sums.shape} and {type(b).__name__} {b.sums.shape}"
        )
    return jax.tree.map(jnp.add, a, b)


@jitted("axis_name")
def psum(sums: Sums, axis_name: str | tuple[str, ...]) -> Sums:
    """Add the sums that the devices along a mesh axis hold, inside ``shard_map`` or ``pmap``.

    Args:
        sums: this device's share, taken with a model that all devices hold.
        axis_name: the mesh axis, or several.
    """
    check_rank("sums.sums", sums.sums, "[k, d]")
    return jax.lax.psum(sums, axis_name)


@jitted()
def assign(model: KMeans, descriptors: ArrayLike) -> jax.Array:
    """Index of the centre nearest to each descriptor, int32 ``[...]``; the first of equals.

    Args:
        model: ``KMeans``.
        descriptors: ``[..., d]``.
    """
    x, _ = flatten(descriptors, None, model.centers)
    return _nearest(model, x)[0].reshape(jnp.shape(descriptors)[:-1])


@jitted()
@compiler_chooses()
def kmeans_sums(model: KMeans, descriptors: ArrayLike, valid: ArrayLike | None = None) -> KMeansSums:
    """One pass of k-means: each descriptor is added to the cluster of its nearest centre.

    Args:
        model: ``KMeans``.
        descriptors: ``[..., d]``: a map, a batch of maps, or a list; all axes but the last are one set.
        valid: bool ``[...]``, True where a descriptor belongs to the set; ``None`` means everywhere.
    """

    def of_block(x: jax.Array, keep: jax.Array) -> KMeansSums:
        label, distance = _nearest(model, x)
        member = (label[:, None] == jnp.arange(model.centers.shape[0])) & keep[:, None]
        return KMeansSums(
            counts=member.sum(0, dtype=jnp.int32),
            sums=jnp.matmul(
                member.T.astype(jnp.float32), x - model.centers[label], precision=jax.lax.Precision.HIGHEST
            ),
            inertia=jnp.where(keep, distance, 0).sum(),
        )

    return sum_over_blocks(of_block, *flatten(descriptors, valid, model.centers))


@jitted()
def kmeans_update(model: KMeans, sums: KMeansSums) -> KMeans:
    """Move every centre to the mean of its cluster; an empty cluster keeps its centre.

    Args:
        model: the one that ``sums`` was taken with.
        sums: of all descriptors.
    """
    check_rank("sums.sums", sums.sums, "[k, d]")
    return KMeans(model.centers + sums.sums / jnp.maximum(sums.counts, 1)[:, None])


@jitted("tolerance")
def kmeans_converged(before: KMeans, after: KMeans, sums: KMeansSums, *, tolerance: float = 1e-4) -> jax.Array:
    """Whether an update moved the centres so little that the next may be spared.

    The rule is scikit-learn's, with the variance within the clusters in place of the data's: the squared movements of
    all centres sum to at most ``tolerance`` times the mean over dimensions of that variance.

    Args:
        before: the model that ``sums`` was taken with.
        after: its update.
        sums: of all descriptors.
        tolerance: rounding alone moves centres by about 1e-9 of that variance.
    """
    check_rank("sums.sums", sums.sums, "[k, d]")
    variance = sums.inertia / jnp.maximum(sums.counts.sum(dtype=jnp.float32) * sums.sums.shape[1], 1)
    return jnp.square(after.centers - before.centers).sum() <= tolerance * variance


@jitted("clusters")
@compiler_chooses()
def kmeans_plus_plus(
    key: jax.Array, descriptors: ArrayLike, valid: ArrayLike | None = None, *, clusters: int
) -> KMeans:
    """Starting centres by D² sampling: each a descriptor, far from those before it.

    For a stream, seed from a sample of it. Where fewer descriptors differ than there are clusters, centres repeat.

    Args:
        key: PRNG key.
        descriptors: ``[..., d]``; all axes but the last are one set.
        valid: bool ``[...]``, True where a descriptor belongs to the set; ``None`` means everywhere.
        clusters: how many (static).
    """
    x, keep = flatten(descriptors, valid)
    if clusters < 1 or x.shape[0] < 1:
        raise ValueError(f"cannot seed {clusters} clusters from {x.shape[0]} descriptors: one of each at least")
    x = jnp.where(keep[:, None], x, 0).astype(jnp.float32)
    uniform = jnp.where(keep, 0, -jnp.inf)
    first_key, *keys = jax.random.split(key, clusters)
    centers = [x[jax.random.categorical(first_key, uniform)]]
    if not keys:
        return KMeans(centers[0][None])

    def squared_distance(centre: jax.Array) -> jax.Array:
        return jnp.where(keep, jnp.square(x - centre).sum(-1), 0)

    def draw(distance: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = jnp.where(distance.any(), jnp.log(distance), uniform)
        centre = x[jax.random.categorical(key, logits)]
        return jnp.minimum(distance, squared_distance(centre)), centre

    _, others = jax.lax.scan(draw, squared_distance(centers[0]), jnp.stack(keys))
    return KMeans(jnp.concatenate([centers[0][None], others]))


@jitted("iterations", "tolerance")
@compiler_chooses()
def lloyd(
    model: KMeans,
    descriptors: ArrayLike,
    valid: ArrayLike | None = None,
    *,
    iterations: int = 100,
    tolerance: float = 1e-4,
) -> KMeansFit:
    """Repeat pass and update from given centres until they settle.

    To automatic differentiation the centres are constants.

    Args:
        model: where to start.
        descriptors: ``[..., d]``; all axes but the last are one set.
        valid: bool ``[...]``, True where a descriptor belongs to the set; ``None`` means everywhere.
        iterations: updates at most.
        tolerance: see ``kmeans_converged``.
    """
    x, keep = flatten(descriptors, valid, model.centers)
    model, settled = jax.lax.stop_gradient((model, x))

    def step(state: tuple[KMeans, jax.Array, jax.Array]) -> tuple[KMeans, jax.Array, jax.Array]:
        before, done, _ = state
        sums = kmeans_sums(before, settled, keep)
        after = kmeans_update(before, sums)
        return after, done + 1, kmeans_converged(before, after, sums, tolerance=tolerance)

    # Zeros like the descriptors, not constants: inside shard_map the loop asks for one type throughout.
    start = (KMeans(jnp.asarray(model.centers, jnp.float32)), jnp.int32(0), jnp.zeros_like(x, shape=(), dtype=bool))
    model, done, converged = jax.lax.while_loop(lambda state: (state[1] < iterations) & ~state[2], step, start)
    return KMeansFit(model, kmeans_sums(model, x, keep).inertia, done, converged)


@jitted("clusters", "iterations", "tolerance")
@compiler_chooses()
def fit_kmeans(
    key: jax.Array,
    descriptors: ArrayLike,
    valid: ArrayLike | None = None,
    *,
    clusters: int,
    iterations: int = 100,
    tolerance: float = 1e-4,
) -> KMeansFit:
    """``kmeans_plus_plus``, then ``lloyd``: k-means of descriptors in memory, with the arguments of both."""
    start = kmeans_plus_plus(key, descriptors, valid, clusters=clusters)
    return lloyd(start, descriptors, valid, iterations=iterations, tolerance=tolerance)


def _nearest(model: KMeans, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Label and squared distance of the nearest centre."""
    distances = jax.lax.map(lambda centre: jnp.square(x - centre).sum(-1), model.centers)
    return jnp.argmin(distances, 0).astype(jnp.int32), distances.min(0)
