"""A learnt projection: from a feature map to the vector that images are compared by, and its file."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import safetensors

from jaxloc._files import readable, write_safetensors
from jaxloc._jit import standard_promotion
from jaxloc.models.rnn_ha import Identified, MixedDifference, RnnHa

HEADS: dict[str, Callable[..., Any]] = {
    "rnn-ha": RnnHa,
    "rnn-h": functools.partial(RnnHa, attentive=False),
    "fc-ha": functools.partial(RnnHa, recurrent=False),
    "ccl": functools.partial(MixedDifference, mixed=False),
    "mixed": MixedDifference,
    "triplet": functools.partial(MixedDifference, mixed=False),
}
"""The head of each method; ``kinds``, ``identities`` and ``hidden`` are their arguments."""

_FORMAT, _CLASSIFIERS = "jaxloc-projection-1", ("kind", "identity")


class Made(NamedTuple):
    """What a projection was learnt on: a network by name and checksum, its layer, and the images' shorter side."""

    architecture: str
    weights_checksum: str
    layer: str
    max_side: int


@functools.partial(jax.tree_util.register_dataclass, data_fields=["params", "centre", "scale"], meta_fields=["head"])
@dataclasses.dataclass(frozen=True)
class Projection:
    """A head and its parameters, a pytree.

    Attributes:
        params: of the head, without its classifiers.
        centre: mean of the descriptors that it was learnt on, ``[d]``, which is subtracted.
        scale: root of their mean square then, by which features are divided.
        head: takes a feature map and its valid size.
    """

    params: Any
    centre: Any
    scale: Any
    head: Any

    @standard_promotion()
    def look(self, features: jax.Array, size: jax.Array) -> Identified:
        """What the head says of one image's map ``[h, w, d]``."""
        return self.head.apply({"params": self.params}, (features.astype(jnp.float32) - self.centre) / self.scale, size)


def without_classifiers(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a vector depends on."""
    return {name: layer for name, layer in params.items() if name not in _CLASSIFIERS}


def save(path: Path, projection: Projection, method: str, made: Made) -> None:
    """Write a projection in one step; the same gives the same bytes."""
    flat = flax.traverse_util.flatten_dict(projection.params, sep="/")
    arrays = {name: np.asarray(values) for name, values in flat.items()}
    arrays |= {"centre": np.asarray(projection.centre), "scale": np.asarray(projection.scale)}
    about = {"method": method, "hidden": projection.head.hidden, **made._asdict()}
    write_safetensors(path, arrays, {"format": _FORMAT} | {name: str(value) for name, value in about.items()})


def load(path: str | os.PathLike[str]) -> tuple[Projection, Made]:
    """Read what ``save`` wrote; ``UsageError`` if it is missing or damaged."""
    cure = "name the projection.safetensors that `jaxloc reid train` wrote"
    with readable(Path(path), "no projection", cure), safetensors.safe_open(path, "np") as file:
        about = file.metadata() or {}
        if about.get("format") != _FORMAT:
            raise ValueError(f"not of the format {_FORMAT}")
        arrays = {name: jnp.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 - not a mapping
        head = HEADS[about["method"]](hidden=int(about["hidden"]))
        made = Made(about["architecture"], about["weights_checksum"], about["layer"], int(about["max_side"]))
        centre, scale = arrays.pop("centre"), arrays.pop("scale")
        return Projection(flax.traverse_util.unflatten_dict(arrays, sep="/"), centre, scale, head), made
