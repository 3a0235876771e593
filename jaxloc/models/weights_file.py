"""jaxloc's weights file: one safetensors file whose metadata describes the arrays.

Arrays are named as in the parameter tree (``conv1_1/kernel``, ``conv1_1/bias``, … ``fc8/bias``), kernels are
``[height, width, in, out]`` float32. Metadata: ``format``, ``architecture`` (the backbone's name), ``preprocessing``
(JSON), ``source`` (origin of the numbers) and ``checksum`` (SHA-256 over names, shapes and bytes);
``variant`` (JSON) if the network differs from the registered one, and ``head`` (JSON) if its classifier is a new one.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import numpy as np
import safetensors

from jaxloc._files import write_safetensors
from jaxloc.errors import UsageError, WeightsError
from jaxloc.models import registry
from jaxloc.models.backbone import Backbone
from jaxloc.models.extract import Params
from jaxloc.models.headed import HEAD, with_head
from jaxloc.models.preprocessing import Preprocessing

FORMAT = "jaxloc-weights-1"

Flat = dict[str, np.ndarray]


class Weights(NamedTuple):
    """Parameters and everything needed to use them.

    Attributes:
        params: nested dict of float32 arrays, the first argument of ``extract_features``.
        backbone: the network, with the preprocessing that these parameters expect; its static argument.
        source: origin of the numbers, in words.
        checksum: SHA-256 of the arrays; models fitted on these features store it.
    """

    params: Params
    backbone: Backbone
    source: str
    checksum: str


def _check_arrays(flat: Mapping[str, np.ndarray], backbone: Backbone, where: str) -> None:
    """Raise ``WeightsError`` unless the arrays are exactly a backbone's, with or without its classifier, and finite."""
    expected = backbone.all_shapes(head=backbone.needs_head(name.split("/")[0] for name in flat))
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
        raise WeightsError(f"{where}: not the weights of {backbone.name}: {found}")
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


def make_weights(flat: Mapping[str, np.ndarray], backbone: Backbone, source: str, where: str) -> Weights:
    """Check arrays ``{"conv1_1/kernel": array, …}`` of any float dtype, and nest them; ``where`` is named in errors."""
    flat = {name: np.asarray(array, np.float32) for name, array in flat.items()}
    _check_arrays(flat, backbone, where)
    params = jax.device_put(flax.traverse_util.unflatten_dict(flat, sep="/"))
    return Weights(params, backbone, source, checksum(flat))


def save(path: str | os.PathLike[str], weights: Weights) -> None:
    """Write one weights file, atomically; the same weights give the same bytes."""
    flat = {
        f"{layer}/{name}": np.asarray(array)
        for layer, arrays in weights.params.items()
        for name, array in arrays.items()
    }
    metadata = {
        "format": FORMAT,
        "architecture": weights.backbone.name,
        "preprocessing": weights.backbone.preprocessing.to_json(),
        "source": weights.source,
        "checksum": weights.checksum,
    }
    if weights.backbone.variant:
        metadata["variant"] = json.dumps(dict(weights.backbone.variant), sort_keys=True)
    if (head := weights.backbone.head) is not None and head.layer == HEAD:
        new = {"layer": head.averages, "names": head.names, "independent": head.independent}
        metadata["head"] = json.dumps(new, sort_keys=True)
    write_safetensors(path, flat, metadata)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """A safetensors file's metadata, without reading its arrays."""
    try:
        with safetensors.safe_open(path, "np") as file:
            return dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a readable safetensors file ({error}): get it again") from error


def is_weights_file(path: str | os.PathLike[str]) -> bool:
    """Whether ``save`` wrote a file, by its content."""
    try:
        return read_metadata(path).get("format") == FORMAT
    except WeightsError:
        return False


def read(path: str | os.PathLike[str]) -> Weights:
    """Read a weights file written by ``save`` and check every array and the checksum."""
    metadata = read_metadata(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path}: not written by jaxloc: convert it with `jaxloc weights convert {Path(path).name}`")
    try:
        with safetensors.safe_open(path, "np") as file:
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: damaged ({error}): convert or copy it again") from error
    preprocessing = Preprocessing.from_json(metadata.get("preprocessing", ""))
    try:
        registered = registry.find(metadata.get("architecture", ""))
        backbone = registered.varied(json.loads(metadata.get("variant", "{}")))
        if "head" in metadata:
            backbone = with_head(backbone, **json.loads(metadata["head"]))
        backbone = dataclasses.replace(backbone, preprocessing=preprocessing)
    except UsageError as error:
        raise WeightsError(f"{path}: {error}") from error
    weights = make_weights(flat, backbone, metadata.get("source", "unknown"), str(path))
    if weights.checksum != metadata.get("checksum"):
        raise WeightsError(f"{path}: the arrays do not match their checksum: convert or copy it again")
    return weights


def describe(weights: Weights) -> dict[str, Any]:
    """Properties of weights for people, as a flat dict of printable values."""
    backbone = weights.backbone
    top = backbone.has_head(weights.params)
    return {
        "architecture": backbone.name,
        "layers": ", ".join(name for name in backbone.layer_names if top or not backbone.needs_head([name])),
        **(
            {"variant": ", ".join(f"{key} {value}" for key, value in sorted(backbone.variant))}
            if backbone.variant
            else {}
        ),
        "classifier": "yes" if top else "none" if backbone.head is None else "no (convolutions only)",
        "parameters": f"{sum(array.size for array in jax.tree.leaves(weights.params)):,}",
        "preprocessing": backbone.preprocessing.to_json(),
        "source": weights.source,
        "checksum": weights.checksum,
    }
