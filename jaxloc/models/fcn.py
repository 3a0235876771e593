"""A fully convolutional head on the feature maps of three layers that scores each cell's part.

Long, Shelhamer & Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015 (FCN-8s), as Mask-CNN
(Wei et al., PR 2018) trains it for the parts of birds. The light form: one 3×3 convolution to 256 channels in place of
fc6 and fc7, so that the backbone stays as it is and its maps are computed once. Scores of the deepest layer are
enlarged to the middle one, added to its own, and again to the finest; the enlargement is bilinear and fixed. Each
cell's descriptor is divided by its root mean square first, for layers differ in scale. Padding is exact: cells outside
an image change none inside.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxloc.models.backbone import FeatureMap

_SMALL = 1e-6


class PartScores(nn.Module):
    """The head.

    Attributes:
        classes: number of scores, the background's first.
        width: channels of the convolution on the deepest layer.
    """

    classes: int = 3
    width: int = 256

    @nn.compact
    def __call__(self, maps: Sequence[FeatureMap]) -> FeatureMap:
        """Scores of a batch, float32 ``[n, h, w, classes]``, on the cells of the first map.

        Args:
            maps: of three layers, the finest first, each with half the cells of the one before; pool3, pool4 and pool5
                of VGG.
        """
        finest, middle, deepest = (_scaled(one.features) for one in maps)
        top = nn.relu(nn.Conv(self.width, (3, 3), name="top")(deepest))
        scores = nn.Conv(self.classes, (1, 1), name="score_top")(top)
        zeros = nn.initializers.zeros_init()
        for name, features, below in (("middle", middle, maps[2]), ("finest", finest, maps[1])):
            enlarged = jax.vmap(enlarge, (0, 0, None, None))(scores, below.size, features.shape[1:3], 2)
            scores = enlarged + nn.Conv(self.classes, (1, 1), kernel_init=zeros, name=f"score_{name}")(features)
        return FeatureMap(scores, maps[0].size)


def _scaled(features: jax.Array) -> jax.Array:
    """Descriptors of a root mean square of 1; zeros stay zero."""
    features = features.astype(jnp.float32)
    square = jnp.square(features).mean(-1, keepdims=True)
    return features * jax.lax.rsqrt(square + _SMALL)


def enlarge(values: jax.Array, size: jax.Array, shape: tuple[int, ...], factor: int) -> jax.Array:
    """Enlarge a map ``[h, w, c]`` bilinearly to ``shape`` cells, ``factor`` of them to a side of one.

    ``size``, int ``[2]``, are the valid rows and columns of ``values``; the outermost of them are repeated beyond.
    """
    weights = []
    for axis, length in enumerate(shape):
        last = jnp.maximum(jnp.asarray(size[axis]) - 1, 0).astype(jnp.float32)
        place = jnp.clip((jnp.arange(length, dtype=jnp.float32) + 0.5) / factor - 0.5, 0, last)
        distance = jnp.abs(place[:, None] - jnp.arange(values.shape[axis], dtype=jnp.float32)[None])
        weights.append(jnp.maximum(1 - distance, 0))
    return jnp.einsum("yh,xw,hwc->yxc", *weights, values, precision=jax.lax.Precision.HIGHEST)
