"""PyTorch's state dicts: arrays by torchvision's names (``classifier.6.bias``) or timm's (``head.fc.bias``)."""

from collections.abc import Mapping

import numpy as np

from jaxloc.errors import WeightsError
from jaxloc.models.backbone import Names
from jaxloc.models.preprocessing import Preprocessing
from jaxloc.models.weights_file import Flat
from weights_convert.mapping import Found, match, out_first

CAFFE_ROUNDED = Preprocessing(255.0, (123.0, 117.0, 104.0), (1.0, 1.0, 1.0))
"""What torchvision states for ``IMAGENET1K_FEATURES``: less [0.48235, 0.45882, 0.40784], divided by 1/255."""


def from_state_dict(tensors: Mapping[str, np.ndarray], source: str, where: str) -> Found:
    """Rename a state dict's arrays, turn their axes, and fold batch normalisation into the convolutions.

    A classifier of NaN marks torchvision's ``IMAGENET1K_FEATURES``, Caffe's original convolutions: the
    classifier is left out and the preprocessing is Caffe's. Unknown names are kept for the check that follows.

    Args:
        tensors: ``{"features.0.weight": [64, 3, 3, 3], …}``; a leading ``module.`` (DataParallel) is dropped.
        source: origin of the file, in words.
        where: the file's name, for messages.

    Raises:
        WeightsError: of no known backbone, or with an incomplete batch normalisation.
    """
    tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    kernels = {name.removesuffix(".weight"): value for name, value in tensors.items() if name.endswith(".weight")}
    backbone, names = match(kernels, lambda published: published.torch, where)
    if any(name.endswith(".running_mean") for name in tensors):
        tensors = fold_batch_norm(tensors, names, where)
        source += ", batch normalisation folded in"
    ours = dict(names.layers)
    arrays: Flat = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if layer not in ours:
            arrays[name] = tensor
        elif kind == "weight":
            arrays[f"{ours[layer]}/kernel"] = out_first(tensor)
        else:
            arrays[f"{ours[layer]}/{kind}"] = tensor
    scores = arrays.get(f"{backbone.head.layer}/kernel") if backbone.head else None
    if scores is not None and np.isnan(scores).all():
        arrays = {name: array for name, array in arrays.items() if not backbone.needs_head([name.split("/")[0]])}
        return Found(arrays, backbone, CAFFE_ROUNDED, f"{source}, Caffe's convolutions")
    return Found(arrays, backbone, backbone.preprocessing, source)


def fold_batch_norm(tensors: Mapping[str, np.ndarray], names: Names, where: str) -> dict[str, np.ndarray]:
    """Fold the scale and shift of each batch normalisation into its convolution.

    Exact in exact arithmetic: padding precedes the convolution, so borders are no exception.

    Args:
        tensors: PyTorch's arrays.
        names: the naming, with the pairs of normalisation and convolution.
        where: the file's name, for the message.

    Returns:
        The arrays without those of the normalisations.

    Raises:
        WeightsError: a normalisation lacks some of its arrays.
    """
    folded = dict(tensors)
    for layer, convolution in names.normalizations:
        try:
            mean, variance, gamma, beta = (
                folded.pop(f"{layer}.{kind}").astype(np.float64)
                for kind in ("running_mean", "running_var", "weight", "bias")
            )
            folded.pop(f"{layer}.num_batches_tracked", None)
            scale = gamma / np.sqrt(variance + names.epsilon)
            kernel = folded[f"{convolution}.weight"] * scale[:, None, None, None]
            bias = (folded.get(f"{convolution}.bias", 0) - mean) * scale + beta
        except (KeyError, ValueError) as error:
            raise WeightsError(f"{where}: incomplete batch normalisation {layer} ({error}): get it again") from error
        folded[f"{convolution}.weight"] = kernel.astype(np.float32)
        folded[f"{convolution}.bias"] = bias.astype(np.float32)
    return folded
