"""ResNet-18 to ResNet-152, as torchvision and timm have them.

He et al., "Deep residual learning for image recognition", CVPR 2016. A bottleneck that halves the resolution does so in
its 3×3 convolution (version 1.5). Batch normalisation is folded into the convolutions.
"""

import functools
from collections.abc import Callable, Iterator

import flax.linen as nn

from jaxloc.models.backbone import Backbone, Defaults, Head, Layer, Names
from jaxloc.models.convolution import Convolution
from jaxloc.models.layers import Cells, Network, add, average, convolve, identity, max_pool
from jaxloc.models.preprocessing import TORCHVISION

VARIANTS = {
    "resnet18": ((2, 2, 2, 2), 1),
    "resnet34": ((3, 4, 6, 3), 1),
    "resnet50": ((3, 4, 6, 3), 4),
    "resnet101": ((3, 4, 23, 3), 4),
    "resnet152": ((3, 8, 36, 3), 4),
}
"""Blocks of each stage, and how many times as many channels a block puts out as its 3×3 convolution."""

_FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
}


class ResNet(Network):
    """The network up to the deepest layer asked for.

    Attributes:
        expansion: 4 for bottlenecks, 1 for blocks of two 3×3 convolutions.
        width: channels of the first stage's 3×3 convolutions, which double from stage to stage.
        classes: channels of ``fc``, which are logits.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    expansion: int = 4
    width: int = 64
    classes: int = 1000

    def steps(self, cells: Cells, parameters: Callable[..., Convolution]) -> Iterator[tuple[str, Cells]]:
        """Yield ``conv1``, ``maxpool``, ``layer1.0``, … ``layer1``, ``layer2.0``, … ``layer4``, ``fc``."""
        cells = convolve(cells, parameters("conv1", 7, 3, self.width), stride=2, padding=3)
        yield "conv1", cells
        cells = max_pool(cells, 3, 2, padding=1)
        yield "maxpool", cells
        for stage, number in enumerate(self.blocks, 1):
            for block, name in enumerate(_block_names(stage, number)):
                stride = 2 if stage > 1 and block == 0 else 1
                cells = self._block(cells, f"layer{stage}.{block}", 2 ** (stage - 1) * self.width, stride, parameters)
                yield name, cells
        cells = average(cells)
        yield "fc", convolve(cells, parameters("fc", 1, cells.features.shape[-1], self.classes), activation=identity)

    def _block(self, cells: Cells, name: str, width: int, stride: int, parameters: Callable[..., Convolution]) -> Cells:
        channels, wide = cells.features.shape[-1], width * self.expansion
        inner, strides = cells, (1, stride, 1) if self.expansion > 1 else (stride, 1)
        kernels, widths = ((1, 3, 1), (width, width, wide)) if self.expansion > 1 else ((3, 3), (width, width))
        for number, (kernel, out, step) in enumerate(zip(kernels, widths, strides, strict=True), 1):
            layer = parameters(f"{name}.conv{number}", kernel, inner.features.shape[-1], out)
            activation = identity if number == len(kernels) else nn.relu
            inner = convolve(inner, layer, stride=step, padding=kernel // 2, activation=activation)
        if stride > 1 or channels != wide:
            cells = convolve(
                cells, parameters(f"{name}.downsample", 1, channels, wide), stride=stride, activation=identity
            )
        return add(inner, cells)


def _block_names(stage: int, number: int) -> list[str]:
    """Layers of a stage; the last block's is named as the stage."""
    return [*(f"layer{stage}.{block}" for block in range(number - 1)), f"layer{stage}"]


def backbone(
    variant: str, *, name: str = "", depths: tuple[int, ...] = (), width: int = 64, classes: int = 1000
) -> Backbone:
    """A variant; one with a name, depths of stages and channels of its own is not converted from published files."""
    numbers, expansion = VARIANTS[variant]
    depths = depths or numbers
    layers = [Layer("conv1", 2, width, 2), Layer("maxpool", 4, width, 4)]
    blocks: list[tuple[str, ...]] = [("conv1",)]
    for stage, number in enumerate(depths, 1):
        below, stride, channels = "", 2 ** (stage + 1), 2 ** (stage - 1) * width * expansion
        kernels: list[str] = []
        for block, layer in enumerate(_block_names(stage, number)):
            layers.append(Layer(layer, stride, channels, stride, below))
            below = layer
            kernels += [f"layer{stage}.{block}.conv{i}" for i in range(1, 4 if expansion > 1 else 3)]
            if block == 0 and (stage > 1 or expansion > 1):
                kernels.append(f"layer{stage}.0.downsample")
        blocks.append(tuple(kernels))
    layers.append(Layer("fc", 32, classes, 32, signed=True))
    flat = sum(blocks, ())
    rows = [(f"{one}.0", f"{one}.1") if one.endswith("downsample") else (one, _norm(one)) for one in flat]
    convolutions = zip((conv for conv, _ in rows), flat, strict=True)
    names = Names((*convolutions, ("fc", "fc")), tuple((norm, conv) for conv, norm in rows))
    return Backbone(
        name=name or variant,
        title=variant.replace("resnet", "ResNet-"),
        authors="He et al.",
        layers=tuple(layers),
        defaults=Defaults("layer3", "layer4", "layer3"),
        module=ResNet(blocks=depths, expansion=expansion, width=width, classes=classes),
        blocks=tuple(blocks),
        preprocessing=TORCHVISION,
        head=Head(("fc",), 224, averages="layer4"),
        published=() if name else (names,),
        hub="" if name else f"timm/{variant}.tv_in1k",
        publisher=f"torchvision's {_FILES[variant]}",
        licence="BSD-3-Clause",
        variant=(("classes", classes),) if classes != 1000 else (),
        vary=functools.partial(backbone, variant, name=name, depths=depths, width=width),
    )


def _norm(convolution: str) -> str:
    """The batch normalisation that follows ``layer1.0.conv2`` in published files: ``layer1.0.bn2``."""
    stage, _, number = convolution.rpartition("conv")
    return f"{stage}bn{number}"
