"""Keras's files: ``keras.applications``' downloads, whole models, and Keras 3's two formats; all HDF5.

Before Keras 3 (``vgg16_weights_tf_dim_ordering_tf_kernels.h5``, ``…_notop.h5``, and under ``model_weights``
in a whole model's ``.h5``) the attributes ``layer_names`` and ``weight_names`` list the arrays in order.
Keras 3's ``.weights.h5``, which is also inside a ``.keras`` archive, holds ``layers/conv2d/vars/0``,
``layers/conv2d_1/vars/0``, … Kernels are ``[height, width, in, out]`` and dense layers' ``[in, out]``; images
are Caffe's, since Keras converted Caffe's weights.
"""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from jaxloc.errors import WeightsError
from jaxloc.models.preprocessing import CAFFE_BGR
from weights_convert.containers import open_hdf5, open_zip, read_array
from weights_convert.mapping import Found, Layer, by_order, out_last

ARCHIVED = "model.weights.h5"
"""The weights inside a ``.keras`` archive."""


def read(path: Path) -> Found:
    """Read a Keras file, with or without its dense layers."""
    where = str(path)
    values = _read_arrays(path)
    convolutions: list[Layer] = []
    dense: list[Layer] = []
    for kernel, bias in zip(values[::2], values[1::2], strict=True):
        if kernel.ndim not in (2, 4) or bias.ndim != 1:
            raise WeightsError(f"{where}: has layers that are neither convolutions nor dense: give a VGG without them")
        if kernel.ndim == 4 and kernel.shape[0] != kernel.shape[1]:
            raise WeightsError(f"{where}: kernels {kernel.shape} as Theano kept them: get the file for TensorFlow")
        (convolutions if kernel.ndim == 4 else dense).append((out_last(kernel), bias))
    arrays, backbone = by_order(convolutions, dense, where)
    return Found(arrays, backbone, CAFFE_BGR, f"Keras file {path.name}")


def _read_arrays(path: Path) -> list[np.ndarray]:
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            with open_hdf5(path, str(path)) as weights:
                return _arrays(weights, str(path))
        with (
            open_zip(file, str(path)) as archive,
            open_hdf5(io.BytesIO(archive.read(ARCHIVED)), str(path)) as weights,
        ):
            return _arrays(weights, str(path))


def _arrays(file: Any, where: str) -> list[np.ndarray]:
    """Kernel, bias, kernel, bias, … from the image upwards."""
    group = file.get("model_weights", file)
    if "layer_names" in group.attrs:
        layers = [group[_text(name)] for name in group.attrs["layer_names"]]
        return [read_array(layer[_text(name)]) for layer in layers for name in layer.attrs["weight_names"]]
    if "layers" not in file:
        raise WeightsError(f"{where}: an HDF5 file, but not Keras's: save the model with model.save_weights")
    paths: list[str] = []
    file["layers"].visit(paths.append)
    variables = [path for path in paths if re.search(r"vars/\d+$", path)]
    return [read_array(file["layers"][path]) for path in sorted(variables, key=_counting)]


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _counting(path: str) -> list[int | str]:
    """Sort key by which ``conv2d``, ``conv2d_2``, ``conv2d_10`` come in this order."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]
