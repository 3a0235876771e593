"""Piecewise classifier mappings: from the mean vector of a class's few exemplars to the class's linear classifier.

Wei, Wang, Liu, Shen & Wu, "Piecewise classifier mappings: learning fine-grained learners for novel categories with few
examples", TIP 2019. Each piece of a bilinear vector, the products with one axis, has a small perceptron of its own. A
mapping is learnt from episodes of base classes and applied to classes that it has not seen. Ours: the residual form,
``F = eˢ X + m(X)``, which begins as the nearest mean.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses

_EXACT = jax.lax.Precision.HIGHEST


class Mapping(NamedTuple):
    """A perceptron for each of ``p`` pieces; an ELU follows every layer but the last.

    Attributes:
        weights: of each layer, float32 ``[p, in, out]``.
        biases: of each layer, float32 ``[p, out]``.
        log_scale: ``s`` of the residual form, float32 ``[]``; ``None`` for the mapping as printed.
    """

    weights: tuple[jax.Array, ...]
    biases: tuple[jax.Array, ...]
    log_scale: jax.Array | None = None


@jitted("pieces", "dimension", "hidden", "residual", "log_scale")
def init(
    key: jax.Array,
    *,
    pieces: int,
    dimension: int,
    hidden: tuple[int, ...] = (256, 256),
    residual: bool = True,
    log_scale: float = 2.3,
) -> Mapping:
    """A mapping to begin with: weights of He's normal distribution, biases 0.

    Args:
        key: of ``jax.random``.
        pieces: their number (static).
        dimension: numbers in a piece (static).
        hidden: widths of the hidden layers (static); two of 256 in the paper.
        residual: add ``eˢ X`` (static); the last layer then begins at 0.
        log_scale: ``s`` to begin with (static).
    """
    widths = (dimension, *hidden, dimension)
    shapes = [(pieces, *pair) for pair in itertools.pairwise(widths)]
    keys = jax.random.split(key, len(shapes))
    draw = jax.nn.initializers.he_normal(batch_axis=0)
    weights = [draw(each, shape, jnp.float32) for each, shape in zip(keys, shapes, strict=True)]
    if residual:
        weights[-1] = jnp.zeros_like(weights[-1])
    biases = tuple(jnp.zeros((pieces, width)) for width in widths[1:])
    return Mapping(tuple(weights), biases, jnp.float32(log_scale) if residual else None)


@jitted("classes")
@compiler_chooses()
def class_means(vectors: ArrayLike, targets: ArrayLike, *, classes: int) -> jax.Array:
    """Mean of each class's exemplars, float32 ``[c, d]`` (equation 6); zeros for a class without one.

    Args:
        vectors: ``[n, d]``.
        targets: int ``[n]``, each exemplar's class from 0; any other number means none.
        classes: ``c``, their number (static).
    """
    vectors = as_array("vectors", vectors, "[n, d]", jnp.float32)
    own = as_array("targets", targets, "[n]") == jnp.arange(classes)[:, None]
    sums = jnp.matmul(own.astype(jnp.float32), vectors, precision=_EXACT)
    return sums / jnp.maximum(own.sum(1, keepdims=True), 1)


@jitted()
def classifiers(mapping: Mapping, means: ArrayLike, *, gain: ArrayLike = 1.0) -> jax.Array:
    """The linear classifier of each class, float32 ``[c, d]`` (equations 8 and 9): an image's scores are its products.

    Args:
        mapping: of ``p`` pieces.
        means: ``[c, d]``, of the classes' exemplars.
        gain: what the perceptrons' inputs are multiplied by; ``√p`` gives each piece of a unit vector a length near 1.
    """
    means = as_array("means", means, "[c, d]", jnp.float32)
    pieces = mapping.weights[0].shape[:2]
    if pieces[0] * pieces[1] != means.shape[1]:
        raise ValueError(f"means must have {pieces[0]} pieces of {pieces[1]} numbers, got {means.shape[1]} numbers")
    x = means.reshape(len(means), *pieces).transpose(1, 0, 2) * gain
    for number, (weights, biases) in enumerate(zip(mapping.weights, mapping.biases, strict=True)):
        x = jax.nn.elu(x) if number else x
        x = jnp.matmul(x, weights, precision=_EXACT) + biases[:, None]
    mapped = x.transpose(1, 0, 2).reshape(means.shape)
    return mapped if mapping.log_scale is None else jnp.exp(mapping.log_scale) * means + mapped
