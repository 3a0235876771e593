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

from jaxloc.models import architectures
from jaxloc.models.convolution import Layer, chained, convolve, direct, inside, pool
from jaxloc.models.preparing import check_kernel


class FeatureMap(NamedTuple):
    """Activations of one layer, and how much of them is image.

    Attributes:
        features: ``[n, h, w, d]`` (``[h, w, d]`` for one image); zero outside the valid corner.
        size: int32 ``[n, 2]`` (``[2]``), valid rows and columns.
    """

    features: jax.Array
    size: jax.Array


class Parameters(nn.Module):
    """The parameters of one convolution: kept in float32, used in ``dtype``."""

    kernel_size: int
    channels: int
    width: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self) -> Layer:
        """Kernel, plain or prepared, and bias."""
        shape = (self.kernel_size, self.kernel_size, self.channels, self.width)
        if self.is_initializing():
            self.param("kernel", nn.initializers.he_normal(), shape, jnp.float32)
        kernel = self.get_variable("params", "kernel")  # if it is prepared, its shape is not the one above
        check_kernel(kernel, shape, self.dtype)
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        return Layer(kernel.astype(self.dtype), bias.astype(self.dtype))


class VGG(nn.Module):
    """The network up to the deepest layer asked for, and no deeper.

    Attributes:
        architecture: ``"vgg16"`` or ``"vgg19"``.
        layers: names of the activations to return; ``fc6`` and ``fc7`` are after their ReLU, ``fc8`` are logits.
        dtype: what convolutions compute in; float32, or bfloat16 for speed (0.6 % error).
    """

    architecture: str = "vgg16"
    layers: tuple[str, ...] = ("relu5_3",)
    dtype: DTypeLike = jnp.float32

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
        known = architectures.layer_names(self.architecture)
        needed = known[: max(map(known.index, wanted)) + 1]
        size = jnp.broadcast_to(jnp.asarray(x.shape[1:3] if sizes is None else sizes, jnp.int32), (x.shape[0], 2))
        found: dict[str, FeatureMap] = {}

        def valid() -> jax.Array | None:
            return None if sizes is None else size

        def keep(name: str, x: jax.Array) -> None:
            if name in wanted:
                found[name] = FeatureMap(x, size)

        def parameters(name: str, kernel_size: int, channels: int, width: int) -> Layer:
            return Parameters(kernel_size, channels, width, self.dtype, name=name)()

        x = inside(x.astype(self.dtype), valid())
        channels = x.shape[-1]
        for block, width in enumerate(architectures.WIDTHS, 1):
            names = [name for name in needed if name.startswith(f"relu{block}_")]
            layers: list[Layer] = []
            for name in names:
                layers.append(parameters(name.replace("relu", "conv"), 3, channels, width))
                channels = width
            begin = 0
            for end, name in enumerate(names, 1):
                if end < len(names) and name not in wanted and chained(layers[end - 1], layers[end]):
                    continue
                pooled = end == len(names) and name not in wanted
                x = convolve(x, layers[begin:end], valid(), pooled=pooled)
                keep(name, x)
                begin = end
            if f"pool{block}" in needed:
                x = x if pooled else pool(x, valid())
                size = size // 2
                keep(f"pool{block}", x)
        if "fc6" in needed:
            x = direct(x, parameters("fc6", 7, channels, 4096), padding="VALID")
            size = jnp.maximum(size - 6, 0)
            x = inside(nn.relu(x), valid())
            keep("fc6", x)
        if "fc7" in needed:
            x = inside(nn.relu(direct(x, parameters("fc7", 1, 4096, 4096), padding="VALID")), valid())
            keep("fc7", x)
        if "fc8" in needed:
            keep("fc8", inside(direct(x, parameters("fc8", 1, 4096, 1000), padding="VALID"), valid()))
        return {name: found[name] for name in wanted}
