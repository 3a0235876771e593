"""Fitted DDT models on disk: one safetensors file for a job's sets, with what they were fitted on."""

import contextlib
import dataclasses
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import safetensors

from jaxloc import __version__
from jaxloc._files import write_safetensors_in_parts
from jaxloc._interrupts import checked
from jaxloc.ddt import Model
from jaxloc.errors import UsageError
from jaxloc.models import Weights
from jaxloc.moments import Moments

FORMAT = "jaxloc-ddt-1"
Part = TypeVar("Part", Model, Moments)


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
    write_safetensors_in_parts(
        path, (_arrays(number, name, model) for number, name in enumerate(checked(model.sets))), metadata
    )


def _arrays(number: int, name: str, model: ModelFile) -> dict[str, np.ndarray]:
    fitted = model.sets[name]
    return {
        f"{number}/{layer}/{field}": np.asarray(value)
        for layer in model.layers
        for part in (fitted.models[layer], fitted.moments[layer])
        for field, value in part._asdict().items()
    }


class StoredSets(Mapping[str, FittedSet]):
    """The sets of a model file, each read when it is asked for, as arrays on the host.

    Args:
        path: the file.
        names: of its sets, in its order.
        layers: of each.

    Raises:
        UsageError: when a set is read that is not whole.
    """

    def __init__(self, path: str | os.PathLike[str], names: Sequence[str], layers: Sequence[str]) -> None:
        self._path, self._layers = path, tuple(layers)
        self._numbers = {name: number for number, name in enumerate(names)}

    def __getitem__(self, name: str) -> FittedSet:
        number = self._numbers[name]
        with _opened(self._path) as file:

            def part(kind: type[Part], layer: str) -> Part:
                return kind(*(file.get_tensor(f"{number}/{layer}/{field}") for field in kind._fields))

            return FittedSet(
                {layer: part(Model, layer) for layer in self._layers},
                {layer: part(Moments, layer) for layer in self._layers},
            )

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such model file; `jaxloc colocalize` writes one as model.safetensors")
    try:
        with safetensors.safe_open(path, "np") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise UsageError(f"{path}: not a DDT model; `jaxloc colocalize` writes one as model.safetensors")
            yield file
    except (safetensors.SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{path}: damaged model file ({error}): fit it again") from error


def load(path: str | os.PathLike[str]) -> ModelFile:
    """Open a model file; its sets are read when they are asked for.

    Raises:
        UsageError: missing, damaged, or not a model file.
    """
    with _opened(path) as file:
        metadata = file.metadata()
        layers, names = tuple(json.loads(metadata["layers"])), json.loads(metadata["sets"])
        fields = (*Model._fields, *Moments._fields)
        there = set(file.keys())
        for wanted in itertools.product(map(str, range(len(names))), layers, fields):
            if "/".join(wanted) not in there:
                raise KeyError("/".join(wanted))
        return ModelFile(
            StoredSets(path, names, layers),
            metadata["method"],
            layers,
            metadata["sign"],
            int(metadata["max_side"]),
            metadata["architecture"],
            metadata["weights_checksum"],
        )
