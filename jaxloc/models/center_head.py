"""The head that predicts centres of objects and the distances to their sides from a feature map; see ``centers``.

A 3×3 convolution to 128 channels and a 1×1 convolution. Features are divided by their root mean square over the
training set, channel by channel. Exact under padding where the map is zero outside the image, as the extractor makes
it.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxloc._jit import standard_promotion

WIDTH = 128
_PRIOR = 0.01
"""Share of cells that a new head takes for the centre of an object of a class."""


class CenterHead(nn.Module):
    """Logits ``[..., h, w, kinds]`` and logarithms of distances ``[..., h, w, 4]`` from features ``[..., h, w, d]``."""

    kinds: int

    @nn.compact
    def __call__(self, features: jax.Array, scale: jax.Array) -> tuple[jax.Array, jax.Array]:
        """``scale``: ``[d]``, what features are divided by."""
        hidden = nn.relu(nn.Conv(WIDTH, (3, 3), name="hidden")(features / scale))

        def bias(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
            prior = jnp.full(self.kinds, math.log(_PRIOR / (1 - _PRIOR)), dtype)
            return jnp.concatenate([prior, jnp.ones(4, dtype)])

        both = nn.Conv(self.kinds + 4, (1, 1), bias_init=bias, kernel_init=nn.initializers.normal(0.01), name="out")(
            hidden
        )
        return both[..., : self.kinds], both[..., self.kinds :]


@standard_promotion()
def init(key: jax.Array, channels: int, kinds: int) -> Any:
    """Parameters of a new head, a plain tree."""
    features = jnp.zeros((1, 3, 3, channels))
    return CenterHead(kinds).init(key, features, jnp.ones(channels))["params"]


@standard_promotion()
def apply(params: Any, features: jax.Array, scale: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits and logarithms of distances; see ``CenterHead``."""
    kinds = params["out"]["bias"].shape[0] - 4
    logits, sides = CenterHead(kinds).apply({"params": params}, features, scale)
    return logits, sides
