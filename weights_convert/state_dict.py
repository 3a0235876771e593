"""PyTorch's names for a VGG's arrays: torchvision's (``classifier.6.bias``) and timm's (``head.fc.bias``)."""

import re
from collections.abc import Mapping

import numpy as np

from jaxloc.errors import WeightsError
from jaxloc.models import architectures
from jaxloc.models.preprocessing import TORCHVISION, Preprocessing
from jaxloc.models.weights_file import Flat
from weights_convert.mapping import Found, architecture_of, convolution_names, out_first

CAFFE_ROUNDED = Preprocessing(255.0, (123.0, 117.0, 104.0), (1.0, 1.0, 1.0))
"""What torchvision states for ``IMAGENET1K_FEATURES``: less [0.48235, 0.45882, 0.40784], divided by 1/255."""

DENSE = {
    "fc6": ("classifier.0", "pre_logits.fc1"),
    "fc7": ("classifier.3", "pre_logits.fc2"),
    "fc8": ("classifier.6", "head.fc"),
}
"""torchvision's and timm's name of each fully connected layer."""

NORMALIZATION_EPSILON = 1e-5
"""PyTorch's default, which torchvision's and timm's VGGs keep; state dicts do not hold it."""


def from_state_dict(tensors: Mapping[str, np.ndarray], source: str, where: str) -> Found:
    """Rename a state dict's arrays, turn their axes, and fold batch normalisation into the convolutions.

    A classifier of NaN marks torchvision's ``IMAGENET1K_FEATURES``, Caffe's original convolutions: the
    classifier is left out and the preprocessing is theirs. Names nobody knows are kept as they are, for the
    check that follows to list.

    Args:
        tensors: ``{"features.0.weight": [64, 3, 3, 3], …}``; a leading ``module.`` (DataParallel) is dropped.
        source: where the file came from, in words.
        where: the file's name, for messages.

    Raises:
        WeightsError: neither VGG-16 nor VGG-19.
    """
    tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    kernels = [name for name in tensors if re.fullmatch(r"features\.\d+\.weight", name) and tensors[name].ndim == 4]
    architecture = architecture_of(len(kernels), where)
    normalized = any(name.endswith(".running_mean") for name in tensors)
    if normalized:
        tensors = fold_batch_norm(tensors, where)
        source += ", batch normalisation folded in"
    names = layer_names(architecture, normalized=normalized)
    arrays: Flat = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if layer not in names:
            arrays[name] = tensor
        elif kind == "weight":
            arrays[f"{names[layer]}/kernel"] = out_first(tensor)
        else:
            arrays[f"{names[layer]}/{kind}"] = tensor
    if "fc8/kernel" in arrays and np.isnan(arrays["fc8/kernel"]).all():
        convolutions = {name: array for name, array in arrays.items() if not name.startswith("fc")}
        return Found(convolutions, CAFFE_ROUNDED, f"{source}, Caffe's convolutions")
    return Found(arrays, TORCHVISION, source)


def layer_names(architecture: str, *, normalized: bool) -> dict[str, str]:
    """Our name of each layer by PyTorch's: ``{"features.0": "conv1_1", …, "head.fc": "fc8"}``.

    Args:
        architecture: ``"vgg16"`` or ``"vgg19"``.
        normalized: each convolution is followed by batch normalisation, and so counts three modules, not two.
    """
    names = {theirs: ours for ours, both in DENSE.items() for theirs in both}
    ours = iter(convolution_names(architecture))
    position = 0
    for convolutions in architectures.BLOCKS[architecture]:
        for _ in range(convolutions):
            names[f"features.{position}"] = next(ours)
            position += 3 if normalized else 2
        position += 1
    return names


def fold_batch_norm(tensors: Mapping[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """Give every convolution the scale and shift of the batch normalisation right after it.

    Exact in exact arithmetic: padding happens before the convolution, so borders are no exception.

    Args:
        tensors: PyTorch's arrays; ``features.1.running_mean`` belongs to the convolution ``features.0``.
        where: the file's name, for the message.

    Returns:
        The same without the normalisations' arrays.

    Raises:
        WeightsError: a normalisation lacks some of its arrays, or its convolution.
    """
    folded = dict(tensors)
    for name in [name for name in tensors if name.endswith(".running_mean")]:
        layer = name.removesuffix(".running_mean")
        folder, _, position = layer.rpartition(".")
        convolution = f"{folder}.{int(position) - 1}" if position.isdecimal() else ""
        try:
            mean, variance, gamma, beta = (
                folded.pop(f"{layer}.{kind}").astype(np.float64)
                for kind in ("running_mean", "running_var", "weight", "bias")
            )
            folded.pop(f"{layer}.num_batches_tracked", None)
            scale = gamma / np.sqrt(variance + NORMALIZATION_EPSILON)
            kernel = folded[f"{convolution}.weight"] * scale[:, None, None, None]
            bias = (folded[f"{convolution}.bias"] - mean) * scale + beta
        except (KeyError, ValueError) as error:
            raise WeightsError(f"{where}: incomplete batch normalisation {layer} ({error}): get it again") from error
        folded[f"{convolution}.weight"] = kernel.astype(np.float32)
        folded[f"{convolution}.bias"] = bias.astype(np.float32)
    return folded
