"""A network's own classifier as functions of images and of maps, for methods that ask it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from jaxloc._jit import standard_promotion
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


def class_scores(params: Any, images: jax.Array, *, backbone: Backbone, dtype: DTypeLike = jnp.float32) -> jax.Array:
    """Logits of images ``[n, side, side, 3]``, float32 ``[n, classes]``; arguments and errors are ``classifier``'s."""
    layer = backbone.classifier.layer
    found = extract_features(params, images, backbone=backbone, layers=(layer,), dtype=dtype)
    return found[layer].features[:, 0, 0].astype(jnp.float32)


def classifier(params: Any, *, backbone: Backbone, dtype: DTypeLike = jnp.float32) -> Classifier:
    """The classifier of a network; pure, so it may be made inside ``jax.jit``, of parameters that are arguments.

    ``backbone`` and ``dtype`` are static.
    """
    head = backbone.classifier
    last = params[head.layer]
    kernel = last["kernel"].reshape(-1, last["kernel"].shape[-1]).astype(jnp.float32)
    bias = last["bias"].astype(jnp.float32)

    def of_images(images: jax.Array) -> jax.Array:
        return head.probabilities(class_scores(params, images, backbone=backbone, dtype=dtype))

    def map_of(images: jax.Array) -> jax.Array:
        maps = extract_features(params, images, backbone=backbone, layers=(head.averages,), dtype=dtype)
        return maps[head.averages].features.astype(jnp.float32)

    @standard_promotion()
    def of_map(features: jax.Array, size: ArrayLike | None = None) -> jax.Array:
        valid = valid_cells(size, features.shape[:2])

        def scores(cells: jax.Array) -> jax.Array:
            return jnp.matmul(cells, kernel, precision=jax.lax.Precision.HIGHEST) + bias

        def mean(cells: jax.Array) -> jax.Array:
            return jnp.where(valid[..., None], cells, 0).sum((0, 1)) / jnp.maximum(valid.sum(), 1)

        # What is linear may be averaged first, which takes a product for one cell instead of one for each.
        whole = mean(jax.nn.relu(scores(features))) if head.rectified else scores(mean(features))
        return head.probabilities(whole)

    return Classifier(head.side, of_images, map_of, of_map, kernel, bias)
