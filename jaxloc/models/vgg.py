"""VGG-16 and VGG-19 as a Flax module that returns activations by layer name, exact for padded batches.

Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
configurations D and E. The module is Linen on purpose: ``VGG(...).apply({"params": params}, images, sizes)`` is
already a pure function of parameters and images, and its parameters are plain nested dicts
(``params["conv1_1"]["kernel"]``) that any other library can take as they are.

Zero padding alone would corrupt the features of a padded batch, because biases turn the padding non-zero and the
next convolution reads it. Every activation is therefore set back to zero outside its image's valid corner, which is
exactly the zero padding the image alone would have had. Pooling drops an odd last row or column (floor), as Caffe's
successors do.
"""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxloc.grids import valid_cells
from jaxloc.models import architectures
from jaxloc.models.convolution import Convolution, direct


class FeatureMap(NamedTuple):
    """Activations of one layer, and how much of them is image.

    Attributes:
        features: ``[n, h, w, d]`` (``[h, w, d]`` for one image); zero outside the valid corner.
        size: int32 ``[n, 2]`` (``[2]``), valid rows and columns.
    """

    features: jax.Array
    size: jax.Array


class ConvBias(nn.Module):
    """A convolution with bias; computes in ``dtype``, keeps its parameters in float32."""

    width: int
    kernel_size: tuple[int, int]
    padding: str
    dtype: DTypeLike
    convolution: Convolution

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map ``[n, h, w, c]`` to ``[n, h', w', width]``."""
        shape = (*self.kernel_size, x.shape[-1], self.width)
        kernel = self.param("kernel", nn.initializers.he_normal(), shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        return self.convolution(x, kernel.astype(self.dtype), padding=self.padding) + bias.astype(self.dtype)


class VGG(nn.Module):
    """The network up to the deepest layer asked for, and no deeper.

    Attributes:
        architecture: ``"vgg16"`` or ``"vgg19"``.
        layers: names of the activations to return; ``fc6`` and ``fc7`` are after their ReLU, ``fc8`` are logits.
        dtype: what convolutions compute in; float32, or bfloat16 for speed (0.6 % error).
        convolution: the function every convolution goes through.
    """

    architecture: str = "vgg16"
    layers: tuple[str, ...] = ("relu5_3",)
    dtype: DTypeLike = jnp.float32
    convolution: Convolution = direct

    @nn.compact
    def __call__(self, x: jax.Array, sizes: jax.Array | None = None) -> dict[str, FeatureMap]:
        """Run preprocessed images through the network.

        Args:
            x: ``[n, h, w, 3]``, preprocessed; anything outside ``sizes`` is ignored.
            sizes: int ``[n, 2]``, valid rows and columns of each image; ``None`` means all of them.

        Returns:
            ``{layer: FeatureMap}`` in the order asked for.
        """
        wanted = architectures.check_layers(self.architecture, self.layers)
        whole = sizes is None
        size = (
            jnp.tile(jnp.array(x.shape[1:3], jnp.int32), (x.shape[0], 1)) if sizes is None else sizes.astype(jnp.int32)
        )
        found: dict[str, FeatureMap] = {}

        def masked(x: jax.Array) -> jax.Array:
            if whole:
                return x
            return jnp.where(valid_cells(size, (x.shape[1], x.shape[2]))[..., None], x, 0)

        def done(name: str, x: jax.Array) -> bool:
            if name in wanted:
                found[name] = FeatureMap(x, size)
            return len(found) == len(set(wanted))

        def conv(name: str, x: jax.Array, width: int, kernel: int = 3, padding: str = "SAME") -> jax.Array:
            return ConvBias(width, (kernel, kernel), padding, self.dtype, self.convolution, name=name)(x)

        x = masked(x.astype(self.dtype))
        for block, (width, convolutions) in enumerate(
            zip(architectures.WIDTHS, architectures.BLOCKS[self.architecture], strict=True), 1
        ):
            for i in range(1, convolutions + 1):
                x = masked(nn.relu(conv(f"conv{block}_{i}", x, width)))
                if done(f"relu{block}_{i}", x):
                    return {name: found[name] for name in wanted}
            x = nn.max_pool(x, (2, 2), (2, 2), "VALID")
            size = size // 2
            x = masked(x)
            if done(f"pool{block}", x):
                return {name: found[name] for name in wanted}
        x = conv("fc6", x, 4096, kernel=7, padding="VALID")
        size = jnp.maximum(size - 6, 0)
        x = masked(nn.relu(x))
        if not done("fc6", x):
            x = masked(nn.relu(conv("fc7", x, 4096, kernel=1)))
            if not done("fc7", x):
                done("fc8", masked(conv("fc8", x, 1000, kernel=1)))
        return {name: found[name] for name in wanted}
