"""MatConvNet's files (``imagenet-vgg-verydeep-16.mat``), in MATLAB's format 5 or, as HDF5, 7.3.

``layers`` is a cell array of structs with ``name``, ``type`` and ``weights`` ``{filters, biases}`` (in older
releases the fields ``filters`` and ``biases``); filters are ``[height, width, in, out]``. The average image,
whose mean of each channel is subtracted from images, is ``meta.normalization.averageImage`` or
``normalization.averageImage``. HDF5 lists axes in reverse, and its cells hold references.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from jaxloc.errors import WeightsError
from jaxloc.models.preprocessing import CAFFE_RGB, Preprocessing
from jaxloc.models.weights_file import Flat
from weights_convert.containers import open_hdf5, read_array
from weights_convert.mapping import Found, by_name

VERSION_5 = b"MATLAB 5.0 MAT-file"
VERSION_73 = b"MATLAB 7.3 MAT-file"
_VARIABLES = ("layers", "meta", "normalization")


def read(path: Path) -> Found:
    """Read a MatConvNet file that holds a network for ``vl_simplenn``."""
    with path.open("rb") as file:
        hdf5 = file.read(len(VERSION_73)) == VERSION_73
    if hdf5:
        with open_hdf5(path, str(path)) as opened:
            network = {name: _plain_73(opened[name], opened) for name in opened if name in _VARIABLES}
    else:
        network = {name: _plain_5(value) for name, value in scipy.io.loadmat(path).items() if name in _VARIABLES}
    if not isinstance(network.get("layers"), list):
        raise WeightsError(f"{path}: has no cell array 'layers': give a network for vl_simplenn, not DagNN")
    arrays: Flat = {}
    for layer in network["layers"]:
        if layer["type"] == "conv":
            filters, biases = layer["weights"] if "weights" in layer else (layer["filters"], layer["biases"])
            arrays |= {f"{layer['name']}/kernel": filters, f"{layer['name']}/bias": biases.ravel()}
    normalization = network.get("meta", network).get("normalization", {})
    preprocessing = _preprocessing(normalization.get("averageImage"))
    return Found(arrays, by_name(arrays, str(path)), preprocessing, f"MatConvNet file {path.name}")


def _preprocessing(average_image: np.ndarray | None) -> Preprocessing:
    """Caffe's on RGB, with the mean of a given ``[1, 1, 3]`` or ``[height, width, 3]`` to four decimals."""
    if average_image is None or average_image.size == 0 or average_image.size % 3:
        return CAFFE_RGB
    red, green, blue = (round(float(mean), 4) for mean in average_image.reshape(-1, 3).mean(0, np.float64))
    return dataclasses.replace(CAFFE_RGB, mean=(red, green, blue))


def _plain_5(value: np.ndarray) -> Any:
    """Structs as dicts, cells as lists, text as ``str``, numbers as arrays."""
    if value.dtype.names:
        return {name: _plain_5(value.flat[0][name]) for name in value.dtype.names}
    if value.dtype == object:
        return [_plain_5(item) for item in value.flat]
    return "".join(value.flat) if value.dtype.kind == "U" else value


def _plain_73(item: Any, file: Any) -> Any:
    """As ``_plain_5``."""
    if not hasattr(item, "dtype"):
        return {name: _plain_73(child, file) for name, child in item.items()}
    if item.attrs.get("MATLAB_empty"):
        return np.zeros(0)
    values = read_array(item)
    if values.dtype == object:
        return [_plain_73(file[reference], file) for reference in values.ravel()]
    return "".join(map(chr, values.ravel())) if item.attrs.get("MATLAB_class") == b"char" else values.T
