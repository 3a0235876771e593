"""PyTorch's state dicts: arrays by torchvision's names (``classifier.6.bias``) or timm's (``head.fc.bias``)."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.numpy

from jaxloc.errors import WeightsError
from jaxloc.models import weights_file
from jaxloc.models.backbone import Backbone, Names
from jaxloc.models.preprocessing import Preprocessing
from jaxloc.models.registry import BACKBONES
from jaxloc.models.weights_file import Flat
from jaxloc.report.text import counted
from weights_convert import vit_arrays
from weights_convert.mapping import Found, out_first, unnamed

_CAFFE_ROUNDED = Preprocessing(255.0, (123.0, 117.0, 104.0), (1.0, 1.0, 1.0))
"""What torchvision states for ``IMAGENET1K_FEATURES``: less [0.48235, 0.45882, 0.40784], divided by 1/255."""


def read(path: Path) -> Found:
    """Read a safetensors file that holds a state dict, such as timm's on the Hugging Face hub."""
    if weights_file.read_metadata(path).get("format") == weights_file.FORMAT:
        raise WeightsError(f"{path}: already in jaxloc's own format: use it as it is")
    return from_state_dict(safetensors.numpy.load_file(path), f"safetensors file {path.name}", str(path))


def from_state_dict(tensors: Mapping[str, np.ndarray], source: str, where: str) -> Found:
    """Rename a state dict's arrays, turn their axes, and fold batch normalisation into the convolutions.

    A prefix that all of the network's names share is dropped, and what lies outside it (the head of a detector round a
    backbone) is left out; so is ``module.`` (DataParallel) anywhere. A classifier of NaN marks torchvision's
    ``IMAGENET1K_FEATURES``, Caffe's original convolutions: the classifier is left out and the preprocessing is
    Caffe's. Unknown names are kept for the check that follows.
    """
    plain = {".".join(part for part in name.split(".") if part != "module"): name for name in tensors}
    tensors = {ours: tensors[name] for ours, name in plain.items()}
    transformer = vit_arrays.from_state_dict(tensors, source, where)
    if transformer is not None:
        return transformer
    match = _match(tensors)
    if match is None:
        raise unnamed(tensors, where)
    backbone, names, tensors = match
    if len(tensors) < len(plain):
        source += f", {counted(len(plain) - len(tensors), 'array')} of other parts left out"
    if any(name.endswith(".running_mean") for name in tensors):
        tensors = _fold_batch_norm(tensors, names, where)
        source += ", batch normalisation folded in"
    ours, shapes = dict(names.layers), backbone.all_shapes(head=True)
    arrays: Flat = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if layer not in ours:
            arrays[name] = tensor
        elif kind == "weight":
            kernel = f"{ours[layer]}/kernel"
            arrays[kernel] = out_first(tensor, shapes[kernel][0])
        else:
            arrays[f"{ours[layer]}/{kind}"] = tensor
    scores = arrays.get(f"{backbone.head.layer}/kernel") if backbone.head else None
    if scores is not None and np.isnan(scores).all():
        arrays = {name: array for name, array in arrays.items() if not backbone.needs_head([name.split("/")[0]])}
        return Found(arrays, backbone, _CAFFE_ROUNDED, f"{source}, Caffe's convolutions")
    if scores is not None and scores.shape[-1] != backbone.classes:
        backbone = backbone.varied({"classes": scores.shape[-1]})
    return Found(arrays, backbone, names.preprocessing or backbone.preprocessing, source)


Match = tuple[Backbone, Names, dict[str, np.ndarray]]
"""A backbone, its naming, and its arrays by those names."""


def _match(tensors: Mapping[str, np.ndarray]) -> Match | None:
    """The backbone whose kernels below the head are most like the file's by name, of equals by number of channels.

    At least half of the backbone's kernels must be there; what is missing is told by the check that follows.
    """
    kernels = {name.removesuffix(".weight") for name in tensors if name.endswith(".weight")}
    best, matches = 0.0, list[Match]()
    for backbone in BACKBONES.values():
        for names in backbone.published:
            layers = [theirs for theirs, ours in names.layers if not backbone.needs_head([ours])]
            prefix, dropped, found = _prefix(kernels, layers)
            inside = sum(name.startswith(prefix) for name in kernels)
            likeness = found / (len(layers) + inside - found)
            if 2 * found >= len(layers) and likeness >= best:
                start = len(prefix)
                own = {dropped + name[start:]: one for name, one in tensors.items() if name.startswith(prefix)}
                matches = [*(matches if likeness == best else ()), (backbone, names, own)]
                best = likeness
    return max(matches, key=_agreement, default=None) if len(matches) > 1 else next(iter(matches), None)


def _agreement(match: Match) -> int:
    """Number of kernels that have as many output channels as the backbone's."""
    backbone, names, tensors = match
    shapes = backbone.all_shapes(head=True)
    found = ((f"{theirs}.weight", shapes[f"{ours}/kernel"][-1]) for theirs, ours in names.layers)
    return sum(name in tensors and len(tensors[name]) == width for name, width in found)


def _prefix(kernels: Collection[str], layers: Sequence[str]) -> tuple[str, str, int]:
    """What the file puts before the names of most of these layers, what it drops from them, and the number found."""
    first = layers[0].split(".")[0] + "."
    shared = first if all(layer.startswith(first) for layer in layers) else ""
    ways = []
    for dropped in dict.fromkeys(("", shared)):
        inner = [layer.removeprefix(dropped) for layer in layers]
        prefixes = {"", *(name.removesuffix(inner[0]) for name in kernels if f".{name}".endswith(f".{inner[0]}"))}
        ways += [(prefix, dropped, sum(prefix + layer in kernels for layer in inner)) for prefix in prefixes]
    return min(ways, key=lambda way: (-way[2], len(way[0]), way))


def _fold_batch_norm(tensors: Mapping[str, np.ndarray], names: Names, where: str) -> dict[str, np.ndarray]:
    """Fold the scale and shift of each batch normalisation into its convolution.

    Exact in exact arithmetic: padding precedes the convolution, so borders are no exception.
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
