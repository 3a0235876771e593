"""Layer names and kernel layouts: what every reader ends with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxloc.errors import WeightsError
from jaxloc.models import architectures
from jaxloc.models.preprocessing import Preprocessing
from jaxloc.models.weights_file import Flat


class Found(NamedTuple):
    """What a reader found in a file, under jaxloc's names but not yet checked.

    Attributes:
        arrays: ``{"conv1_1/kernel": [3, 3, 3, 64], "conv1_1/bias": [64], …}``, kernels ``[height, width, in,
            out]``.
        preprocessing: what weights of this origin expect of their images.
        source: where the numbers came from, in words.
    """

    arrays: Flat
    preprocessing: Preprocessing
    source: str


class Layer(NamedTuple):
    """The parameters of one layer.

    Attributes:
        kernel: ``[height, width, in, out]``.
        bias: ``[out]``.
    """

    kernel: np.ndarray
    bias: np.ndarray


def convolution_names(architecture: str) -> tuple[str, ...]:
    """``conv1_1`` … in the order images pass through them."""
    names = architectures.layer_names(architecture)
    return tuple(name.replace("relu", "conv") for name in names if name.startswith("relu"))


def architecture_of(convolutions: int, where: str) -> str:
    """The architecture with this many 3×3 convolutions.

    Args:
        convolutions: how many a file holds.
        where: the file's name, for the message.

    Raises:
        WeightsError: none has.
    """
    for architecture in architectures.BLOCKS:
        if len(convolution_names(architecture)) == convolutions:
            return architecture
    known = ", ".join(f"{name} has {len(convolution_names(name))}" for name in architectures.BLOCKS)
    raise WeightsError(f"{where}: {convolutions} convolutions where {known}: give the weights of one of these")


def out_first(weight: np.ndarray) -> np.ndarray:
    """A kernel as PyTorch and Caffe keep it, as ``[height, width, in, out]``.

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
    """A kernel as Keras keeps it, as ``[height, width, in, out]``.

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


def by_order(convolutions: Sequence[Layer], dense: Sequence[Layer], where: str) -> Flat:
    """Name layers that come without a name we know by the order in which images pass through them.

    Args:
        convolutions: from the image upwards.
        dense: those after them, none if the file stops at the last convolution.
        where: the file's name, for the message.

    Returns:
        ``{"conv1_1/kernel": array, "conv1_1/bias": array, …}``.

    Raises:
        WeightsError: no architecture has this many.
    """
    names = convolution_names(architecture_of(len(convolutions), where))
    if len(dense) not in (0, len(architectures.FULLY_CONNECTED)):
        raise WeightsError(
            f"{where}: {len(dense)} dense layers where VGG has {len(architectures.FULLY_CONNECTED)}: "
            "give the original weights, or save the convolutions alone (in Keras include_top=False)"
        )
    arrays: Flat = {}
    for name, layer in zip((*names, *architectures.FULLY_CONNECTED), (*convolutions, *dense), strict=False):
        arrays |= {f"{name}/kernel": layer.kernel, f"{name}/bias": layer.bias}
    return arrays
