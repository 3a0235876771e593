"""Mixtures of Gaussians with diagonal covariances, from sums that merge over batches, devices and hosts.

Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977, started from k-means.

One pass over the descriptors gives sums; ``clustering.merge`` or ``clustering.psum`` adds them, in any order; an
update turns them into the next mixture. ``expectation_maximization`` repeats that in memory. As in
``jaxloc.clustering``, memory never holds ``[n, k, d]``, and sums are relative to the mixture they were taken with.
Deviations from scikit-learn: variances are floored instead of increased, and the floor is relative to the data.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import check_rank
from jaxloc._derivatives import log
from jaxloc._descriptors import flatten, sum_over_blocks
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses
from jaxloc.clustering import KMeans, assign, fit_kmeans

_HIGHEST = jax.lax.Precision.HIGHEST


class GaussianMixture(NamedTuple):
    """A mixture of Gaussians with diagonal covariances.

    Attributes:
        weights: float32 ``[k]``, ``w_k``, sum to one.
        means: float32 ``[k, d]``, ``μ_k``.
        variances: float32 ``[k, d]``, ``σ²_k``, positive.
    """

    weights: jax.Array
    means: jax.Array
    variances: jax.Array


class GaussianMixtureSums(NamedTuple):
    """What one pass adds up, weighted by the responsibilities ``q_k``; belongs to the mixture it was taken with.

    Attributes:
        counts: float32 ``[k]``, the sum of ``q_k``.
        sums: float32 ``[k, d]``, the sum of ``q_k (x − μ_k)``.
        squares: float32 ``[k, d]``, the sum of ``q_k (x − μ_k)²``.
        excess: float32, the sum of the log-likelihoods above the level of the mixture itself; see
            ``mean_log_likelihood``.
    """

    counts: jax.Array
    sums: jax.Array
    squares: jax.Array
    excess: jax.Array


class GaussianMixtureFit(NamedTuple):
    """A fitted mixture.

    Attributes:
        mixture: ``GaussianMixture``.
        mean_log_likelihood: float32, of the descriptors under this mixture, in nats per descriptor.
        iterations: int32, updates made.
        converged: bool, False if the iterations ran out first.
    """

    mixture: GaussianMixture
    mean_log_likelihood: jax.Array
    iterations: jax.Array
    converged: jax.Array


@jitted()
def responsibilities(mixture: GaussianMixture, descriptors: ArrayLike) -> jax.Array:
    """Probability ``q_k(x)`` that each component made each descriptor, float32 ``[..., k]``, summing to one.

    Args:
        mixture: ``GaussianMixture``.
        descriptors: ``[..., d]``.
    """
    x, _ = flatten(descriptors, None, mixture.means)
    return jax.nn.softmax(_log_joint(mixture, x)).reshape(*jnp.shape(descriptors)[:-1], mixture.means.shape[0])


@jitted()
def log_likelihood(mixture: GaussianMixture, descriptors: ArrayLike) -> jax.Array:
    """Log of the mixture's density at each descriptor, in nats, float32 ``[...]``.

    Arguments are those of ``responsibilities``.
    """
    x, _ = flatten(descriptors, None, mixture.means)
    excess = jax.nn.logsumexp(_log_joint(mixture, x), axis=-1)
    return (_level(mixture) + excess).reshape(jnp.shape(descriptors)[:-1])


@jitted()
@compiler_chooses()
def mixture_sums(
    mixture: GaussianMixture, descriptors: ArrayLike, valid: ArrayLike | None = None
) -> GaussianMixtureSums:
    """One pass of expectation–maximization (the E step): every descriptor shared out by responsibility.

    Args:
        mixture: ``GaussianMixture``.
        descriptors: ``[..., d]``; all axes but the last are one set.
        valid: bool ``[...]``, True where a descriptor belongs to the set; ``None`` means everywhere.
    """

    def of_block(x: jax.Array, keep: jax.Array) -> GaussianMixtureSums:
        joint = _log_joint(mixture, x)
        excess = jnp.where(keep, jax.nn.logsumexp(joint, axis=-1), 0).sum()
        return _weighted_sums(mixture.means, x, jnp.where(keep[:, None], jax.nn.softmax(joint), 0), excess)

    return sum_over_blocks(of_block, *flatten(descriptors, valid, mixture.means))


@jitted()
def hard_sums(model: KMeans, descriptors: ArrayLike, valid: ArrayLike | None = None) -> GaussianMixtureSums:
    """As ``mixture_sums``, with every descriptor given wholly to its k-means cluster: for ``initial_mixture``."""

    def of_block(x: jax.Array, keep: jax.Array) -> GaussianMixtureSums:
        member = (assign(model, x)[:, None] == jnp.arange(model.centers.shape[0])) & keep[:, None]
        return _weighted_sums(model.centers, x, member.astype(jnp.float32), jnp.zeros(()))

    return sum_over_blocks(of_block, *flatten(descriptors, valid, model.centers))


@jitted("variance_floor")
def initial_mixture(model: KMeans, sums: GaussianMixtureSums, *, variance_floor: float = 1e-6) -> GaussianMixture:
    """The mixture whose components are the clusters of a k-means.

    Args:
        model: the k-means that ``sums`` was taken with.
        sums: from ``hard_sums``, of all descriptors.
        variance_floor: see ``mixture_update``.
    """
    count = model.centers.shape[0]
    start = GaussianMixture(jnp.full(count, 1 / count), model.centers, jnp.zeros_like(model.centers))
    return mixture_update(start, sums, variance_floor=variance_floor)


@jitted("variance_floor")
def mixture_update(
    mixture: GaussianMixture, sums: GaussianMixtureSums, *, variance_floor: float = 1e-6
) -> GaussianMixture:
    """Weights, means and variances from the sums of one pass (the M step).

    A component that is responsible for next to nothing (10 ε descriptors) keeps its mean and variances.

    Args:
        mixture: the one that ``sums`` was taken with.
        sums: of all descriptors.
        variance_floor: no variance falls below this share of the data's variance, averaged over dimensions; a channel
            that never fires would otherwise have none. For data of unit variance the default is scikit-learn's
            ``reg_covar``, which is added instead; VLFeat's floor is an absolute 1e-4 (static).
    """
    check_rank("sums.sums", sums.sums, "[k, d]")
    if not variance_floor > 0:
        raise ValueError(f"variance_floor must be positive, got {variance_floor}")
    total = sums.counts.sum()
    filled = (sums.counts > 10 * jnp.finfo(jnp.float32).eps)[:, None]
    counts = jnp.where(filled, sums.counts[:, None], 1)
    shift = jnp.where(filled, sums.sums / counts, 0)
    weights = jnp.where(total > 0, sums.counts / jnp.where(total > 0, total, 1), mixture.weights)
    means = mixture.means + shift
    variances = jnp.maximum(jnp.where(filled, sums.squares / counts - jnp.square(shift), mixture.variances), 0)
    apart = means - means[0]
    apart -= jnp.matmul(weights, apart, precision=_HIGHEST)
    floor = variance_floor * jnp.matmul(weights, variances + jnp.square(apart), precision=_HIGHEST).mean()
    floor = jnp.where(floor > jnp.finfo(jnp.float32).tiny, floor, 1)  # All descriptors are equal: any will do.
    return GaussianMixture(weights, means, jnp.maximum(variances, floor))


@jitted()
def mean_log_likelihood(mixture: GaussianMixture, sums: GaussianMixtureSums) -> jax.Array:
    """Mean log-likelihood of the descriptors that were summed, in nats per descriptor.

    ``sums`` holds it above the level ``−½ (Σ_k w_k log |Σ_k| + d (1 + log 2π))``, the mean negative entropy of the
    components, so that a long float32 sum of numbers near −1000 does not drown the change from pass to pass.

    Args:
        mixture: the one that ``sums`` was taken with.
        sums: from ``mixture_sums``.
    """
    check_rank("sums.sums", sums.sums, "[k, d]")
    total = sums.counts.sum()
    return _level(mixture) + sums.excess / jnp.where(total > 0, total, 1)


@jitted("iterations", "tolerance", "variance_floor")
@compiler_chooses()
def expectation_maximization(
    mixture: GaussianMixture,
    descriptors: ArrayLike,
    valid: ArrayLike | None = None,
    *,
    iterations: int = 100,
    tolerance: float = 1e-3,
    variance_floor: float = 1e-6,
) -> GaussianMixtureFit:
    """Repeat pass and update from a given mixture until the mean log-likelihood settles.

    To automatic differentiation the mixture is a constant.

    Args:
        mixture: where to start.
        descriptors: ``[..., d]``; all axes but the last are one set.
        valid: bool ``[...]``, True where a descriptor belongs to the set; ``None`` means everywhere.
        iterations: updates at most.
        tolerance: converged once the mean log-likelihood changes by less than this from one pass to the next
            (scikit-learn's rule and default).
        variance_floor: see ``mixture_update`` (static).
    """
    x, keep = flatten(descriptors, valid, mixture.means)
    mixture, settled = jax.lax.stop_gradient((mixture, x))

    def step(
        state: tuple[GaussianMixture, jax.Array, jax.Array, jax.Array],
    ) -> tuple[GaussianMixture, jax.Array, jax.Array, jax.Array]:
        before, done, previous, _ = state
        sums = mixture_sums(before, settled, keep)
        likelihood = mean_log_likelihood(before, sums)
        after = mixture_update(before, sums, variance_floor=variance_floor)
        return after, done + 1, likelihood, jnp.abs(likelihood - previous) < tolerance

    mixture = GaussianMixture(*(jnp.asarray(part, jnp.float32) for part in mixture))
    # Numbers like the descriptors, not constants: inside shard_map the loop asks for one type throughout.
    start = (
        mixture,
        jnp.int32(0),
        jnp.full_like(x, -jnp.inf, shape=(), dtype=jnp.float32),
        jnp.zeros_like(x, shape=(), dtype=bool),
    )
    mixture, done, _, converged = jax.lax.while_loop(lambda state: (state[1] < iterations) & ~state[3], step, start)
    return GaussianMixtureFit(mixture, mean_log_likelihood(mixture, mixture_sums(mixture, x, keep)), done, converged)


@jitted("components", "iterations", "tolerance", "variance_floor")
@compiler_chooses()
def fit_gaussian_mixture(
    key: jax.Array,
    descriptors: ArrayLike,
    valid: ArrayLike | None = None,
    *,
    components: int,
    iterations: int = 100,
    tolerance: float = 1e-3,
    variance_floor: float = 1e-6,
) -> GaussianMixtureFit:
    """A mixture of descriptors in memory: ``fit_kmeans``, then ``expectation_maximization``, with its arguments."""
    model = fit_kmeans(key, descriptors, valid, clusters=components).model
    start = initial_mixture(model, hard_sums(model, descriptors, valid), variance_floor=variance_floor)
    return expectation_maximization(
        start, descriptors, valid, iterations=iterations, tolerance=tolerance, variance_floor=variance_floor
    )


def _log_determinants(mixture: GaussianMixture) -> tuple[jax.Array, jax.Array]:
    """``log |Σ_k|``, and its mean by weight."""
    each = jnp.log(mixture.variances).sum(-1)
    return each, jnp.dot(mixture.weights, each, precision=_HIGHEST)


def _level(mixture: GaussianMixture) -> jax.Array:
    """The log-likelihood that sums are kept relative to, see ``mean_log_likelihood``."""
    _, mean = _log_determinants(mixture)
    return -(mean + mixture.means.shape[-1] * (1 + math.log(2 * math.pi))) / 2


def _log_joint(mixture: GaussianMixture, x: jax.Array) -> jax.Array:
    """``log w_k + log N(x; μ_k, σ²_k)`` above the mixture's level, ``[n, k]``."""
    each, mean = _log_determinants(mixture)
    distances = jax.lax.map(
        lambda part: (jnp.square(x - part[0]) / part[1]).sum(-1), (mixture.means, mixture.variances)
    )
    return log(mixture.weights) - (distances.T - x.shape[-1] + each - mean) / 2


def _weighted_sums(means: jax.Array, x: jax.Array, share: jax.Array, excess: jax.Array) -> GaussianMixtureSums:
    """Sums of ``x`` ``[n, d]`` shared out by ``share`` ``[n, k]``, one component after another."""

    def of_component(part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        mean, weight = part
        centred = x - mean
        first = jnp.matmul(weight, centred, precision=_HIGHEST)
        return first, jnp.matmul(weight, jnp.square(centred), precision=_HIGHEST)

    sums, squares = jax.lax.map(of_component, (means, share.T))
    return GaussianMixtureSums(share.sum(0), sums, squares, excess)
