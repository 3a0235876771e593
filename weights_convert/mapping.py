"""Kernel layouts and parameter names: from a published file's to a backbone's."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxloc.errors import WeightsError
from jaxloc.models.backbone import Backbone, Names, Published
from jaxloc.models.preprocessing import Preprocessing
from jaxloc.models.registry import BACKBONES
from jaxloc.models.weights_file import Flat


class Found(NamedTuple):
    """Content of a file under jaxloc's names, not yet checked.

    Attributes:
        arrays: ``{"conv1_1/kernel": [3, 3, 3, 64], "conv1_1/bias": [64], …}``, kernels ``[height, width, in,
            out]``.
        backbone: the network that the names or the number of layers belong to.
        preprocessing: what weights of this origin expect of images.
        source: origin of the numbers, in words.
    """

    arrays: Flat
    backbone: Backbone
    preprocessing: Preprocessing
    source: str


class Layer(NamedTuple):
    """Parameters of one layer.

    Attributes:
        kernel: ``[height, width, in, out]``.
        bias: ``[out]``.
    """

    kernel: np.ndarray
    bias: np.ndarray


def out_first(weight: np.ndarray) -> np.ndarray:
    """Turn a kernel of PyTorch or Caffe into ``[height, width, in, out]``.

    Args:
        weight: ``[out, in, height, width]``, or a dense layer's ``[out, in]``, whose inputs are taken to be a
            flattened channels-first 7×7 map if they are a multiple of 49 (the first dense layer's are, the
            others' 4096 are not).
    """
    if weight.ndim == 2:
        side = _map_side(weight.shape[1])
        weight = weight.reshape(weight.shape[0], -1, side, side)
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight


def out_last(weight: np.ndarray) -> np.ndarray:
    """Turn a kernel of Keras into ``[height, width, in, out]``.

    Args:
        weight: ``[height, width, in, out]``, or a dense layer's ``[in, out]``, whose inputs are taken to be a
            flattened channels-last 7×7 map if they are a multiple of 49.
    """
    if weight.ndim == 2:
        side = _map_side(weight.shape[0])
        weight = weight.reshape(side, side, -1, weight.shape[1])
    return weight


def _map_side(inputs: int) -> int:
    return 7 if inputs and inputs % 49 == 0 else 1


def match(
    kernels: Mapping[str, np.ndarray], naming: Callable[[Published], Sequence[Names]], where: str
) -> tuple[Backbone, Names]:
    """Find the backbone whose published names a file holds.

    Args:
        kernels: by published name.
        naming: the namings to compare with.
        where: the file's name, for the message.

    Returns:
        The backbone and the naming with the most names, of those all of whose kernels below the head are there.

    Raises:
        WeightsError: none is; the message counts convolutions.
    """

    def below_head(backbone: Backbone, names: Names) -> list[str]:
        return [theirs for theirs, ours in names.layers if not backbone.needs_head([ours])]

    fitting = [
        (len(theirs), backbone, names)
        for backbone in BACKBONES.values()
        for names in (naming(backbone.published) if backbone.published else ())
        if (theirs := below_head(backbone, names)) and all(name in kernels for name in theirs)
    ]
    if not fitting:
        raise _unknown(sum(kernel.ndim == 4 for kernel in kernels.values()), where)
    _, backbone, names = max(fitting, key=lambda one: one[0])
    return backbone, names


def by_name(arrays: Flat, where: str) -> tuple[Flat, Backbone]:
    """Rename arrays of Caffe or MatConvNet.

    Args:
        arrays: ``{"conv1_1/kernel": array, …}``, published names; unknown ones are kept for the check that follows.
        where: the file's name, for the message.

    Raises:
        WeightsError: of no known backbone.
    """
    kernels = {name.removesuffix("/kernel"): array for name, array in arrays.items() if name.endswith("/kernel")}
    backbone, names = match(kernels, lambda published: published.caffe, where)
    ours = dict(names.layers)
    renamed = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition("/")
        renamed[f"{ours.get(layer, layer)}/{kind}"] = array
    return renamed, backbone


def by_order(convolutions: Sequence[Layer], dense: Sequence[Layer], where: str) -> tuple[Flat, Backbone]:
    """Name layers by their order from the image upwards.

    Args:
        convolutions: from the image upwards.
        dense: layers after them; empty if the file stops at the last convolution.
        where: the file's name, for the message.

    Returns:
        ``{"conv1_1/kernel": array, "conv1_1/bias": array, …}``, and their backbone.

    Raises:
        WeightsError: no backbone has these numbers of layers.
    """
    for backbone in BACKBONES.values():
        if backbone.published and backbone.published.order and len(convolutions) == _convolutions(backbone):
            break
    else:
        raise _unknown(len(convolutions), where)
    top = len(backbone.head.layers) if backbone.head else 0
    if len(dense) not in (0, top):
        raise WeightsError(
            f"{where}: {len(dense)} dense layers where {backbone.title} has {top}: "
            "give the original weights, or save the convolutions alone (in Keras include_top=False)"
        )
    arrays: Flat = {}
    for name, layer in zip(backbone.published.order, (*convolutions, *dense), strict=False):
        arrays |= {f"{name}/kernel": layer.kernel, f"{name}/bias": layer.bias}
    return arrays, backbone


def _convolutions(backbone: Backbone) -> int:
    return sum(map(len, backbone.blocks))


def _unknown(convolutions: int, where: str) -> WeightsError:
    published = [backbone for backbone in BACKBONES.values() if backbone.published]
    known = ", ".join(f"{backbone.name} has {_convolutions(backbone)}" for backbone in published)
    return WeightsError(f"{where}: {convolutions} convolutions where {known}: give the weights of one of these")
