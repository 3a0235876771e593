"""A network's own classifier as functions of images and of maps, for methods that ask it."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxloc.errors import UsageError
from jaxloc.grids import valid_cells
from jaxloc.models.backbone import Backbone
from jaxloc.models.extract import extract_features


class Classifier(NamedTuple):
    """The classifier of a network.

    Attributes:
        side: of its images in pixels.
        of_images: from images ``[n, side, side, 3]``, uint8 or float in [0, 1], to probabilities
            ``float32 [n, classes]``.
        map_of: from such images to the maps ``[n, h, w, d]`` that the classifier averages.
        of_map: from one such map ``[h, w, d]``, and its valid size or ``None``, to probabilities ``[classes]``.
        kernel: ``[d, classes]``: what a cell of such a map adds to the score of each class.
        bias: ``[classes]``, likewise.
    """

    side: int
    of_images: Callable[[jax.Array], jax.Array]
    map_of: Callable[[jax.Array], jax.Array]
    of_map: Callable[[jax.Array, Any], jax.Array]
    kernel: jax.Array
    bias: jax.Array


def classifier(params: Any, *, backbone: Backbone, dtype: DTypeLike = jnp.float32) -> Classifier:
    """The classifier of a network; pure, so it may be made inside ``jax.jit``, of parameters that are arguments.

    Args:
        params: of the network, with its head's.
        backbone: the network (static).
        dtype: what the network computes in (static).

    Raises:
        UsageError: the network has no classifier.
    """
    head = backbone.head
    if head is None:
        raise UsageError(f"{backbone.title} has no classifier")
    last = params[head.layer]
    kernel = last["kernel"].reshape(-1, last["kernel"].shape[-1]).astype(jnp.float32)
    bias = last["bias"].astype(jnp.float32)
    extract = functools.partial(extract_features, params, backbone=backbone, dtype=dtype)

    def of_images(images: jax.Array) -> jax.Array:
        logits = extract(images, layers=(head.layer,))[head.layer].features[:, 0, 0]
        return jax.nn.softmax(logits.astype(jnp.float32))

    def map_of(images: jax.Array) -> jax.Array:
        return extract(images, layers=(head.averages,))[head.averages].features.astype(jnp.float32)

    def of_map(features: jax.Array, size: ArrayLike | None = None) -> jax.Array:
        scores = jnp.matmul(features, kernel, precision=jax.lax.Precision.HIGHEST) + bias
        scores = jnp.maximum(scores, 0) if head.rectified else scores
        valid = valid_cells(size, features.shape[:2])
        return jax.nn.softmax(jnp.where(valid[..., None], scores, 0).sum((0, 1)) / jnp.maximum(valid.sum(), 1))

    return Classifier(head.side, of_images, map_of, of_map, kernel, bias)
