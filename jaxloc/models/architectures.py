"""What each architecture is made of: its layers by name, their strides, and the smallest image each can see."""

from collections.abc import Iterable

from jaxloc.errors import UsageError

BLOCKS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each of the five blocks (Simonyan & Zisserman 2015, configurations D and E)."""

WIDTHS = (64, 128, 256, 512, 512)
FULLY_CONNECTED = ("fc6", "fc7", "fc8")


def check_architecture(architecture: str) -> None:
    """Raise ``UsageError`` naming the known architectures unless this is one of them."""
    if architecture not in BLOCKS:
        raise UsageError(f"unknown architecture {architecture!r}; known: {', '.join(BLOCKS)}")


def layer_names(architecture: str) -> tuple[str, ...]:
    """Every layer whose activations can be asked for, from the image upwards."""
    check_architecture(architecture)
    names: list[str] = []
    for block, convolutions in enumerate(BLOCKS[architecture], 1):
        names += [f"relu{block}_{i}" for i in range(1, convolutions + 1)] + [f"pool{block}"]
    return (*names, *FULLY_CONNECTED)


def check_layers(architecture: str, layers: Iterable[str]) -> tuple[str, ...]:
    """Return the layers as a tuple, or raise ``UsageError`` naming those that exist."""
    known = layer_names(architecture)
    layers = (layers,) if isinstance(layers, str) else tuple(layers)
    if not layers:
        raise UsageError(f"no layer asked for; {architecture} has {', '.join(known)}")
    for layer in layers:
        if layer not in known:
            raise UsageError(f"unknown layer {layer!r}; {architecture} has {', '.join(known)}")
    return layers


def _pools_before(layer: str) -> int:
    if layer.startswith("fc"):
        return 5
    block = int(layer.removeprefix("relu").removeprefix("pool").split("_")[0])
    return block if layer.startswith("pool") else block - 1


def stride(layer: str) -> int:
    """Pixels between neighbouring cells of a layer: 16 at ``relu5_x``, 32 at ``pool5`` and above."""
    return 2 ** _pools_before(layer)


def dimension(layer: str) -> int:
    """Channels of a layer: the dimension of its descriptors."""
    if layer.startswith("fc"):
        return 1000 if layer == "fc8" else 4096
    return WIDTHS[int(layer.removeprefix("relu").removeprefix("pool").split("_")[0]) - 1]


def minimum_side(layer: str) -> int:
    """The smallest image side in pixels for which the layer has at least one cell."""
    return 224 if layer.startswith("fc") else stride(layer)


def map_side(layer: str, side: int) -> int:
    """Cells along an image side of ``side`` pixels."""
    cells = side // stride(layer)
    return max(cells - 6, 0) if layer.startswith("fc") else cells


def previous_relu(architecture: str, layer: str) -> str:
    """The convolution's activation just below ``layer`` in the same block: DDT+'s second layer.

    Raises:
        UsageError: ``layer`` is not a convolution's activation, or the first of its block.
    """
    check_layers(architecture, [layer])
    known = layer_names(architecture)
    below = known[known.index(layer) - 1] if known.index(layer) else ""
    if not layer.startswith("relu") or not below.startswith("relu"):
        raise UsageError(f"no convolution of the same block lies below {layer!r}; use for example relu5_3")
    return below
