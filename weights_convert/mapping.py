"""Kernel layouts and parameter names: from a published file's to a backbone's."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxloc.errors import WeightsError
from jaxloc.models.backbone import Backbone
from jaxloc.models.preprocessing import Preprocessing
from jaxloc.models.registry import BACKBONES
from jaxloc.models.weights_file import Flat
from jaxloc.report.text import some_of

Layer = tuple[np.ndarray, np.ndarray]
"""Kernel ``[height, width, in, out]`` and bias ``[out]``."""


class Found(NamedTuple):
    """Content of a file under jaxloc's names, not yet checked.

    Attributes:
        arrays: ``{"conv1_1/kernel": [3, 3, 3, 64], "conv1_1/bias": [64], …}``.
        backbone: the network that the names or the number of layers belong to.
        preprocessing: what weights of this origin expect of images.
        source: origin of the numbers, in words.
    """

    arrays: Flat
    backbone: Backbone
    preprocessing: Preprocessing
    source: str


def out_first(weight: np.ndarray, side: int = 7) -> np.ndarray:
    """Turn a kernel of PyTorch or Caffe, ``[out, in, height, width]``, into ``[height, width, in, out]``.

    The inputs of a dense layer ``[out, in]`` are taken to be a flattened channels-first map of ``side`` × ``side``
    cells if they are a multiple of as many: VGG's first dense layer's are of 49, the others' 4096 are not.
    """
    if weight.ndim == 2:
        side = _map_side(weight.shape[1], side)
        weight = weight.reshape(weight.shape[0], -1, side, side)
    return weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight


def out_last(weight: np.ndarray) -> np.ndarray:
    """Turn a dense layer of Keras, ``[in, out]``, into ``[height, width, in, out]``, which convolutions have already.

    Its inputs are taken to be a flattened channels-last 7×7 map if they are a multiple of 49.
    """
    if weight.ndim == 2:
        side = _map_side(weight.shape[0])
        weight = weight.reshape(side, side, -1, weight.shape[1])
    return weight


def _map_side(inputs: int, side: int = 7) -> int:
    return side if inputs and inputs % side**2 == 0 else 1


def by_name(arrays: Flat, where: str) -> Backbone:
    """The deepest backbone all of whose convolutions are there, under Caffe's names, which are ours."""
    kernels = {name.removesuffix("/kernel"): array for name, array in arrays.items() if name.endswith("/kernel")}
    known = [one for one in BACKBONES.values() if one.published and kernels.keys() >= set(one.convolutions)]
    if not known:
        raise unknown(sum(kernel.ndim == 4 for kernel in kernels.values()), where)
    return max(known, key=lambda one: len(one.convolutions))


def by_order(convolutions: Sequence[Layer], dense: Sequence[Layer], where: str) -> tuple[Flat, Backbone]:
    """Name layers, given from the image upwards, by the backbone with as many convolutions; ``dense`` may be empty."""
    known = (one for one in BACKBONES.values() if one.published and len(one.convolutions) == len(convolutions))
    backbone = next(known, None)
    if backbone is None:
        raise unknown(len(convolutions), where)
    top = backbone.head.layers if backbone.head else ()
    if len(dense) not in (0, len(top)):
        raise WeightsError(
            f"{where}: {len(dense)} dense layers where {backbone.title} has {len(top)}: "
            "give the original weights, or save the convolutions alone (in Keras include_top=False)"
        )
    arrays: Flat = {}
    for name, (kernel, bias) in zip((*backbone.convolutions, *top), (*convolutions, *dense), strict=False):
        arrays |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
    return arrays, backbone


def unknown(convolutions: int, where: str, more: str = "") -> WeightsError:
    """The error for a file with this number of convolutions, which no backbone has."""
    known = ", ".join(f"{one.name} has {len(one.convolutions)}" for one in BACKBONES.values() if one.published)
    return WeightsError(f"{where}: {convolutions} convolutions where {known}{more}: give the weights of one of these")


def unnamed(arrays: Mapping[str, np.ndarray], where: str) -> WeightsError:
    """The error for a state dict without the names of a backbone: some of those it has, and some looked for."""
    sought = {names.layers[0][0]: None for one in BACKBONES.values() for names in one.published}
    more = f"; its arrays are {some_of(list(arrays)) or 'none'}, and looked for were {some_of([*sought])} and so on"
    return unknown(sum(name.endswith("weight") and array.ndim == 4 for name, array in arrays.items()), where, more)
