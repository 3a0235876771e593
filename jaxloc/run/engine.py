"""Pictures to features: the network on the device, compiled once for each bucket."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxloc.data import Batch
from jaxloc.models import FeatureMap, Network, Weights, compiler_options, extract_features, load, minimum_side
from jaxloc.models.architectures import FULLY_CONNECTED, check_layers
from jaxloc.run import memory
from jaxloc.run.options import Reading

Maps = dict[str, FeatureMap]

_CPU_STEP, _CPU_BATCH, _CPU_PIXELS = 8, 1, 1 << 20
_ACCELERATOR_STEP, _ACCELERATOR_BATCH, _ACCELERATOR_PIXELS = 32, 32, 1 << 24
_BUCKETS = 12
_MAP_STEP = 8


class Engine:
    """Weights on the device and the network's step.

    Attributes:
        weights: the network's.
        layers: the layers whose features are extracted, deepest first.
        batch: pictures in a batch at most.
        buckets: padded shapes at most; each costs a compilation, and memory as long as the process lives.
        step: bucket sides are multiples of this many pixels.
        pixels: padded pixels in a batch at most.
        minimum_side: pictures with a shorter side are too small for the layers.
    """

    def __init__(self, options: Reading, weights: Weights, layers: Sequence[str]) -> None:
        self.weights = weights
        self.layers = check_layers(weights.network.architecture, layers)
        on_cpu = jax.default_backend() == "cpu"
        self.buckets = _BUCKETS
        self.step = _CPU_STEP if on_cpu else _ACCELERATOR_STEP
        self.batch = options.batch or (_CPU_BATCH if on_cpu else _ACCELERATOR_BATCH)
        self.pixels = (_CPU_PIXELS if on_cpu else _ACCELERATOR_PIXELS) * max(1, options.batch or 1)
        self.minimum_side = max(map(minimum_side, self.layers))
        self._features = _compiled_features(weights.network, self.layers, options.dtype)
        self._seen: set[tuple[int, ...]] = set()

    def features(self, batch: Batch) -> Maps:
        """Features of a batch, by layer."""
        maps = self._features(self.weights.params, batch.images, batch.sizes)
        if batch.images.shape not in self._seen:
            self._seen.add(batch.images.shape)
            memory.give_back()
        return maps


def load_weights(options: Reading, layers: Sequence[str]) -> Weights:
    """The weights that the options name, with the fully connected layers if any of ``layers`` needs them."""
    top = any(layer in FULLY_CONNECTED for layer in layers)
    weights = load(options.weights, allow_download=options.allow_download, top=top)
    memory.give_back(collect=True)
    return weights


@functools.cache
def _compiled_features(network: Network, layers: tuple[str, ...], dtype: str) -> Callable[..., Maps]:
    """The network's step, shared by every engine of the process, so that a second job compiles nothing."""
    step = functools.partial(_padded_features, network=network, layers=layers, dtype=jnp.dtype(dtype))
    return jax.jit(step, compiler_options=compiler_options())


def _padded_features(params: Any, images: jax.Array, sizes: jax.Array, **static: Any) -> Maps:
    """Features padded to whole blocks of cells, so that the later steps are compiled for few shapes."""

    def pad(features: jax.Array) -> jax.Array:
        rows, columns = (-side % _MAP_STEP for side in features.shape[1:3])
        return jnp.pad(features, ((0, 0), (0, rows), (0, columns), (0, 0)))

    maps = extract_features(params, images, sizes, **static)
    return {layer: FeatureMap(pad(features), size) for layer, (features, size) in maps.items()}
