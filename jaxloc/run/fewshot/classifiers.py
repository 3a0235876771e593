"""Linear classifiers from the means of a few exemplars, and how many queries of an episode they name rightly."""

import jax
import jax.numpy as jnp

from jaxloc import piecewise
from jaxloc.pooling import l2_normalize


def classifiers(mapping: piecewise.Mapping | None, means: jax.Array) -> jax.Array:
    """Linear classifiers ``[c, d]`` of classes by the means of their exemplars: the mapping's, or the means' own.

    The means' own are of unit length: an image gets the class of the nearest mean by cosine.
    """
    if mapping is None:
        return l2_normalize(means)
    return piecewise.classifiers(mapping, means, gain=len(mapping.weights[0]) ** 0.5)


@jax.jit
def accuracies(
    mapping: piecewise.Mapping | None, vectors: jax.Array, exemplars: jax.Array, queries: jax.Array
) -> jax.Array:
    """Share of each episode's queries that get their class, float32 ``[e]``.

    Args:
        mapping: from means to classifiers, or ``None``; see ``classifiers``.
        vectors: ``[n, d]``, of unit length.
        exemplars: int ``[e, w, s]``, rows of ``vectors``: exemplars of each class of each episode.
        queries: int ``[e, w, q]``, likewise.
    """

    def one(episode: tuple[jax.Array, jax.Array]) -> jax.Array:
        exemplars, queries = episode
        planes = classifiers(mapping, vectors[exemplars].mean(1))
        scores = jnp.einsum("wqd,cd->wqc", vectors[queries], planes, precision=jax.lax.Precision.HIGHEST)
        return (scores.argmax(-1) == jnp.arange(len(planes))[:, None]).mean()

    return jax.lax.map(one, (exemplars, queries))
