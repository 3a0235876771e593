"""A trained counter: the head's parameters and what they were trained on, in one safetensors file."""

import dataclasses
import functools
import json
import os
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import centers
from jaxloc._files import StoredArrays, readable, write_safetensors
from jaxloc.centers import Detections
from jaxloc.errors import UsageError
from jaxloc.models import FeatureMap, Weights, center_head

FORMAT = "jaxloc-counter-1"
_PARAMETERS = ("hidden/bias", "hidden/kernel", "out/bias", "out/kernel")
LEAST_SCORE = 0.05
"""Detections of lower scores are dropped."""


@dataclasses.dataclass(frozen=True)
class Counter:
    """A head that finds products, and the threshold at which it counts them.

    Attributes:
        scale: float32 ``[d]``, what features are divided by.
        threshold: the least score that counts, chosen on validation images.
        layer: whose features it reads.
        side: longer side of images at most, in pixels.
        network: name of the network, and ``checksum`` its weights'.
    """

    classes: tuple[str, ...]
    params: Mapping[str, Any]
    scale: np.ndarray
    threshold: float
    layer: str
    side: int
    network: str
    checksum: str
    settings: Mapping[str, str]

    @property
    def warnings(self) -> list[str]:
        """For the user: a threshold of 1 says that on the images held out it was best to count nothing."""
        cure = "train longer with more --steps, into another --out"
        useless = f"the counter finds no product of the images held out, and counts nothing: {cure}"
        return [useless] if self.threshold >= 1 else []

    def check(self, weights: Weights) -> None:
        """Raise ``UsageError`` unless the weights are those that the head was trained on."""
        if weights.checksum != self.checksum:
            raise UsageError(
                f"the counter was trained on other weights of {self.network} than these: name the file with --weights"
            )


def save(path: str | os.PathLike[str], counter: Counter) -> None:
    """Write a counter, atomically; the same counter gives the same bytes."""
    arrays = {name: np.asarray(_part(counter.params, name), np.float32) for name in _PARAMETERS}
    about = {
        name: getattr(counter, name)
        for name in ("classes", "threshold", "layer", "side", "network", "checksum", "settings")
    }
    metadata = {"format": FORMAT, "about": json.dumps(about, sort_keys=True)}
    write_safetensors(path, arrays | {"scale": counter.scale.astype(np.float32)}, metadata)


def load(path: str | os.PathLike[str]) -> Counter:
    """Read a counter that ``save`` wrote; ``UsageError`` if the file is missing, damaged, or something else."""
    with readable(path, "missing or damaged counter", "train it again with jaxloc checkout train"):
        arrays = StoredArrays(path)
        if arrays.metadata.get("format") != FORMAT:
            raise ValueError("not a counter that jaxloc wrote")
        about = json.loads(arrays.metadata["about"])
        params: dict[str, dict[str, np.ndarray]] = {}
        for name in _PARAMETERS:
            layer, _, part = name.partition("/")
            params.setdefault(layer, {})[part] = arrays[name]
        return Counter(**about | {"classes": tuple(about["classes"])}, params=params, scale=arrays["scale"])


def _part(params: Mapping[str, Any], name: str) -> Any:
    layer, _, part = name.partition("/")
    return params[layer][part]


@functools.partial(jax.jit, static_argnames="most")
def detect(params: Any, scale: jax.Array, maps: FeatureMap, *, most: int = 100) -> Detections:
    """Items found in each image of a batch, ``[n, most, …]``; boxes are shares of the image's width and height."""
    logits, sides = center_head.apply(params, maps.features, scale)
    most = min(most, logits.shape[1] * logits.shape[2])
    found = jax.vmap(lambda x, s, size: centers.detect(x, s, size=size, most=most))(logits, sides, maps.size)
    whole = jnp.tile(jnp.maximum(maps.size[:, None, ::-1], 1), 2).astype(jnp.float32)
    return found._replace(boxes=jnp.clip(found.boxes / whole, 0, 1))
