"""jaxloc's weights file: one safetensors file whose metadata says what the arrays are.

Arrays are named as in the parameter tree (``conv1_1/kernel``, ``conv1_1/bias``, … ``fc8/bias``), kernels are
``[height, width, in, out]`` float32. Metadata: ``format``, ``architecture``, ``preprocessing`` (JSON), ``source``
(where the numbers came from) and ``checksum`` (SHA-256 over names, shapes and bytes).
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors

from jaxloc._files import write_safetensors
from jaxloc.errors import WeightsError
from jaxloc.models import architectures
from jaxloc.models.extract import Network, Params
from jaxloc.models.preprocessing import Preprocessing
from jaxloc.models.vgg import VGG

FORMAT = "jaxloc-weights-1"

Flat = dict[str, np.ndarray]


class Weights(NamedTuple):
    """Parameters and everything needed to use them.

    Attributes:
        params: nested dict of float32 arrays, the first argument of ``extract_features``.
        network: architecture and preprocessing, its static argument.
        source: where the numbers came from, in words.
        checksum: SHA-256 of the arrays; models fitted on these features remember it.
    """

    params: Params
    network: Network
    source: str
    checksum: str


def expected_shapes(architecture: str, *, top: bool) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array of an architecture.

    Args:
        architecture: ``"vgg16"`` or ``"vgg19"``.
        top: with the fully connected layers.
    """
    architectures.check_architecture(architecture)
    model = VGG(architecture, ("fc8" if top else "pool5",))
    image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    tree = jax.eval_shape(model.init, jax.random.key(0), image)["params"]
    return {f"{layer}/{name}": value.shape for layer, arrays in tree.items() for name, value in arrays.items()}


def check_arrays(flat: Mapping[str, np.ndarray], architecture: str, where: str) -> None:
    """Raise unless the arrays are exactly an architecture's, with or without its fully connected layers.

    Args:
        flat: ``{"conv1_1/kernel": array, …}``.
        architecture: ``"vgg16"`` or ``"vgg19"``.
        where: the file's name, for the message.

    Raises:
        WeightsError: listing every missing, unexpected and misshapen array, or the ones that are not finite.
    """
    expected = expected_shapes(architecture, top=any(name.startswith("fc") for name in flat))
    wrong = {
        "missing": sorted(expected.keys() - flat.keys()),
        "unexpected": sorted(flat.keys() - expected.keys()),
        "misshapen": [
            f"{name} {tuple(flat[name].shape)} (should be {shape})"
            for name, shape in expected.items()
            if name in flat and tuple(flat[name].shape) != shape
        ],
    }
    if any(wrong.values()):
        found = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in wrong.items() if names)
        raise WeightsError(f"{where}: not the weights of {architecture}: {found}")
    broken = [name for name, array in flat.items() if not np.isfinite(array).all()]
    if broken:
        raise WeightsError(f"{where}: NaN or infinity in {', '.join(broken)}: the file is damaged, get it again")


def checksum(flat: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, shapes and bytes, in order of name."""
    digest = hashlib.sha256()
    for name in sorted(flat):
        array = np.ascontiguousarray(flat[name], "<f4")
        digest.update(f"{name}{array.shape}".encode())
        digest.update(array.data.cast("B"))
    return digest.hexdigest()


def make_weights(flat: Mapping[str, np.ndarray], network: Network, source: str, where: str) -> Weights:
    """Check flat arrays and nest them.

    Args:
        flat: ``{"conv1_1/kernel": array, …}``, any float dtype.
        network: what they are.
        source: where they came from.
        where: the file's name, for messages.

    Raises:
        WeightsError: they are not that architecture's.
    """
    flat = {name: np.asarray(array, np.float32) for name, array in flat.items()}
    check_arrays(flat, network.architecture, where)
    params: Params = {}
    for name, array in flat.items():
        layer, kind = name.split("/")
        params.setdefault(layer, {})[kind] = jnp.asarray(array)
    return Weights(params, network, source, checksum(flat))


def save(path: str | os.PathLike[str], weights: Weights) -> None:
    """Write one weights file, atomically; the same weights give the same bytes."""
    flat = {
        f"{layer}/{name}": np.asarray(array)
        for layer, arrays in weights.params.items()
        for name, array in arrays.items()
    }
    metadata = {
        "format": FORMAT,
        "architecture": weights.network.architecture,
        "preprocessing": weights.network.preprocessing.to_json(),
        "source": weights.source,
        "checksum": weights.checksum,
    }
    write_safetensors(path, flat, metadata)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """A safetensors file's metadata, without reading its arrays.

    Raises:
        WeightsError: missing, damaged, or not a safetensors file.
    """
    try:
        with safetensors.safe_open(path, "np") as file:
            return dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}): get it again") from error


def is_weights_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is one that ``save`` wrote, by its content."""
    try:
        return read_metadata(path).get("format") == FORMAT
    except WeightsError:
        return False


def read(path: str | os.PathLike[str]) -> Weights:
    """Read a weights file written by ``save`` and check every array and the checksum.

    Raises:
        WeightsError: missing, damaged, written by something else, or not the architecture it names.
    """
    metadata = read_metadata(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path}: not written by jaxloc: convert it with `jaxloc weights convert {Path(path).name}`")
    try:
        with safetensors.safe_open(path, "np") as file:
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged ({error}): convert or copy it again") from error
    network = Network(metadata.get("architecture", ""), Preprocessing.from_json(metadata.get("preprocessing", "")))
    weights = make_weights(flat, network, metadata.get("source", "unknown"), str(path))
    if weights.checksum != metadata.get("checksum"):
        raise WeightsError(f"{path}: the arrays do not match their checksum: convert or copy it again")
    return weights


def describe(weights: Weights) -> dict[str, Any]:
    """What a person wants to know of weights, as a flat dict of printable values."""
    top = any(layer.startswith("fc") for layer in weights.params)
    return {
        "architecture": weights.network.architecture,
        "layers": ", ".join(
            name for name in architectures.layer_names(weights.network.architecture) if top or not name.startswith("fc")
        ),
        "classifier": "yes" if top else "no (convolutions only)",
        "parameters": f"{sum(array.size for array in jax.tree.leaves(weights.params)):,}",
        "preprocessing": weights.network.preprocessing.to_json(),
        "source": weights.source,
        "checksum": weights.checksum,
    }
