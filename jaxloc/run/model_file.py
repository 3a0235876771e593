"""Fitted DDT models on disk: one safetensors file for a job's sets, with what they were fitted on."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import safetensors

from jaxloc import __version__
from jaxloc._files import write_safetensors_in_parts
from jaxloc.ddt import Model
from jaxloc.errors import UsageError
from jaxloc.models import Weights
from jaxloc.moments import Moments

FORMAT = "jaxloc-ddt-1"


@dataclasses.dataclass(frozen=True)
class FittedSet:
    """DDT of one image set.

    Attributes:
        models: by layer, deepest first.
        moments: by layer, so that more images can be added.
    """

    models: dict[str, Model]
    moments: dict[str, Moments]


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """What a fit leaves behind.

    Attributes:
        sets: by name.
        method: ``"ddt"`` or ``"ddt+"``.
        layers: deepest first.
        sign: the rule by which signs were fixed.
        max_side: the limit on the shorter side that the pictures were read with.
        architecture: the network's.
        weights_checksum: of the network's parameters; a model only fits features of the same ones.
    """

    sets: Mapping[str, FittedSet]
    method: str
    layers: tuple[str, ...]
    sign: str
    max_side: int
    architecture: str
    weights_checksum: str

    def check_weights(self, weights: Weights, where: str | os.PathLike[str]) -> None:
        """Raise ``UsageError`` unless these are the weights the model was fitted with."""
        if weights.checksum != self.weights_checksum:
            raise UsageError(
                f"{where}: fitted on features of other weights ({self.architecture}, {self.weights_checksum[:12]}…; "
                f"given {weights.network.architecture}, {weights.checksum[:12]}…): pass those with --weights"
            )


def save(path: str | os.PathLike[str], model: ModelFile) -> None:
    """Write a model file, atomically, a set at a time; the same model gives the same bytes."""
    metadata = {
        "format": FORMAT,
        "version": __version__,
        "sets": json.dumps(list(model.sets)),
        "method": model.method,
        "layers": json.dumps(model.layers),
        "sign": model.sign,
        "max_side": str(model.max_side),
        "architecture": model.architecture,
        "weights_checksum": model.weights_checksum,
    }
    write_safetensors_in_parts(path, (_arrays(number, name, model) for number, name in enumerate(model.sets)), metadata)


def _arrays(number: int, name: str, model: ModelFile) -> dict[str, np.ndarray]:
    fitted = model.sets[name]
    return {
        f"{number}/{layer}/{field}": np.asarray(value)
        for layer in model.layers
        for part in (fitted.models[layer], fitted.moments[layer])
        for field, value in part._asdict().items()
    }


class JoinedSets(Mapping[str, FittedSet]):
    """The sets of several model files as one, read when they are asked for.

    Args:
        files: model files without a set in common.
        more: sets that no file holds.
    """

    def __init__(self, files: Sequence[Path], more: Mapping[str, FittedSet]) -> None:
        self._more = more
        self._where = {name: path for path in files for name in set_names(path)}
        self._kept: tuple[Path, ModelFile] | None = None

    def __getitem__(self, name: str) -> FittedSet:
        if name not in self._where:
            return self._more[name]
        path = self._where[name]
        if self._kept is None or self._kept[0] != path:
            self._kept = path, load(path)
        return self._kept[1].sets[name]

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._more if name not in self._where)
        yield from self._where

    def __len__(self) -> int:
        return len(self._where.keys() | self._more.keys())


def set_names(path: str | os.PathLike[str]) -> list[str]:
    """The names of a model file's sets; nothing else is read."""
    with safetensors.safe_open(path, "np") as file:
        return list(json.loads((file.metadata() or {})["sets"]))


def load(path: str | os.PathLike[str]) -> ModelFile:
    """Read a model file.

    Raises:
        UsageError: missing, damaged, or not a model file.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such model file; `jaxloc colocalize` writes one as model.safetensors")
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise UsageError(f"{path}: not a DDT model; `jaxloc colocalize` writes one as model.safetensors")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        layers = tuple(json.loads(metadata["layers"]))
        sets = {
            name: FittedSet(
                {layer: _part(Model, arrays, f"{number}/{layer}") for layer in layers},
                {layer: _part(Moments, arrays, f"{number}/{layer}") for layer in layers},
            )
            for number, name in enumerate(json.loads(metadata["sets"]))
        }
        return ModelFile(
            sets,
            metadata["method"],
            layers,
            metadata["sign"],
            int(metadata["max_side"]),
            metadata["architecture"],
            metadata["weights_checksum"],
        )
    except UsageError:
        raise
    except (safetensors.SafetensorError, OSError, KeyError, ValueError) as error:
        raise UsageError(f"{path}: damaged model file ({error}): fit it again") from error


def _part(kind, arrays, prefix):  # type: ignore[no-untyped-def]
    return kind(**{field: jnp.asarray(arrays[f"{prefix}/{field}"]) for field in kind._fields})
