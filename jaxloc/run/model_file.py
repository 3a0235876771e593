"""Fitted DDT models on disk: one safetensors file for a job's sets, with their moments."""

import dataclasses
import functools
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from jaxloc import __version__
from jaxloc._files import Spec, StoredArrays, readable, write_safetensors_in_parts
from jaxloc.ddt import Model
from jaxloc.errors import UsageError
from jaxloc.models import Weights
from jaxloc.moments import Moments

FORMAT = "jaxloc-ddt-1"
_SUMS = ("total", "mean", "scatter")
"""The fields of moments that are kept."""
_TEXTS = ("method", "sign", "architecture", "weights_checksum")
Part = TypeVar("Part", Model, Moments)
T = TypeVar("T")


def pairs(layers: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Each layer and the next below it, by the name of the moments across them."""
    return {"+".join(pair): pair for pair in itertools.pairwise(layers)}


@dataclasses.dataclass(frozen=True)
class FittedSet:
    """DDT of one image set.

    Attributes:
        models: by layer, deepest first.
        moments: by layer, and across each pair of ``pairs``, so that more images can be added; read from the file on
            access. Files of earlier versions have none across layers.
    """

    models: dict[str, Model]
    moments: Mapping[str, Moments]


@dataclasses.dataclass(frozen=True)
class ModelFile:
    """Fitted DDT models of a job's image sets.

    Attributes:
        method: ``"ddt"`` or ``"ddt+"``.
        layers: deepest first.
        sign: the rule by which signs were fixed.
        max_side: the limit on the shorter side that the images were read with.
        weights_checksum: of the network's parameters; a model is valid only for features of the same parameters.
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
                f"given {weights.backbone.name}, {weights.checksum[:12]}…): pass those with --weights"
            )


def save(path: str | os.PathLike[str], model: ModelFile) -> None:
    """Write a model file atomically, a set at a time; the same model gives the same bytes."""
    metadata = {name: getattr(model, name) for name in _TEXTS} | {
        "format": FORMAT,
        "version": __version__,
        "sets": json.dumps(list(model.sets)),
        "layers": json.dumps(model.layers),
        "max_side": str(model.max_side),
    }

    def specs() -> Iterator[dict[str, Spec]]:
        """Those of a set's moments follow from its models without reading them."""
        for number, one in enumerate(model.sets.values()):
            channels = {layer: len(part.mean) for layer, part in one.models.items()}
            empties = {layer: _empty(count, count, count) for layer, count in channels.items()}
            for pair, (upper, lower) in pairs(model.layers).items():
                if pair in one.moments:
                    rows, columns = channels[upper], channels[lower]
                    empties[pair] = _empty(rows + columns, rows, columns)
            yield {name: Spec.of(value) for name, value in _named(number, one.models, empties).items()}

    arrays = (_named(number, one.models, one.moments) for number, one in enumerate(model.sets.values()))
    write_safetensors_in_parts(path, specs(), arrays, metadata)


def _named(number: int, models: Mapping[str, Model], moments: Mapping[str, Moments]) -> dict[str, Any]:
    """The arrays of a set by their names in the file."""
    named: dict[str, Any] = {}
    for name in (*models, *(name for name in moments if name not in models)):
        part = models[name]._asdict() if name in models else {}
        sums = moments[name]
        part |= {field: getattr(sums, field) for field in _SUMS}
        named |= {f"{number}/{name}/{field}": value for field, value in part.items()}
    return named


@functools.cache
def _empty(dimension: int, rows: int, columns: int) -> Moments:
    zeros = functools.partial(jnp.zeros, dtype=jnp.float32)
    return jax.eval_shape(lambda: Moments(jnp.zeros(2, jnp.int32), zeros(dimension), zeros((rows, columns))))


class _Lazy(Mapping[str, T]):
    """Values by name, each read on access."""

    def __init__(self, names: Iterable[str], read: Callable[[str], T]) -> None:
        self._names, self._read = dict.fromkeys(names), read

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # the inherited one would read the value

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def load(path: str | os.PathLike[str], *, cure: str = "fit it again") -> ModelFile:
    """Open a model file; its sets are read on access."""
    if not Path(path).is_file():
        raise UsageError(f"{path}: no such model file; `jaxloc colocalize` writes one as model.safetensors")
    with readable(path, "damaged model file", cure):
        arrays = StoredArrays(path)

    def read(kind: type[Part], name: str, layer: str) -> Part:
        with readable(path, "damaged model file", cure):
            fields = _SUMS if kind is Moments else kind._fields
            values: list[Any] = [arrays[f"{numbers[name]}/{layer}/{field}"] for field in fields]
            return kind(*values)

    def read_set(name: str) -> FittedSet:
        models = {layer: read(Model, name, layer) for layer in layers}
        across = [pair for pair in pairs(layers) if f"{numbers[name]}/{pair}/scatter" in arrays]
        return FittedSet(models, _Lazy([*layers, *across], functools.partial(read, Moments, name)))

    metadata = arrays.metadata
    if metadata.get("format") != FORMAT:
        raise UsageError(f"{path}: not a DDT model; `jaxloc colocalize` writes one as model.safetensors")
    with readable(path, "damaged model file", cure):
        layers, names = tuple(json.loads(metadata["layers"])), json.loads(metadata["sets"])
        numbers = {name: number for number, name in enumerate(names)}
        fields = (*Model._fields, *_SUMS)
        for wanted in itertools.product(map(str, range(len(names))), layers, fields):
            if "/".join(wanted) not in arrays:
                raise KeyError("/".join(wanted))
        texts = {name: metadata[name] for name in _TEXTS}
        return ModelFile(_Lazy(names, read_set), layers=layers, max_side=int(metadata["max_side"]), **texts)
