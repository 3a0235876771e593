"""The compiled steps of a job: images to features, features to moments, features to boxes."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import ddt, moments, scda
from jaxloc.components import Backend
from jaxloc.data import Batch
from jaxloc.ddt import Model
from jaxloc.grids import valid_cells
from jaxloc.localization import Localization
from jaxloc.models import FeatureMap, Network, Weights, compiler_options, extract_features, load, minimum_side
from jaxloc.models.architectures import check_layers, previous_relu
from jaxloc.moments import Moments
from jaxloc.run import memory
from jaxloc.run.options import Options

Maps = dict[str, FeatureMap]

_CPU_STEP, _CPU_BATCH, _CPU_PIXELS = 8, 1, 1 << 20
_ACCELERATOR_STEP, _ACCELERATOR_BATCH, _ACCELERATOR_PIXELS = 32, 32, 1 << 24
_BUCKETS = 12
_MAP_STEP = 8


class Engine:
    """Weights on the device and the job's steps, each compiled once for each bucket.

    Attributes:
        weights: the network's.
        layers: the layers whose features are extracted, deepest first.
        batch: pictures in a batch at most.
        buckets: padded shapes at most; each costs a compilation, and memory as long as the process lives.
        step: bucket sides are multiples of this many pixels.
        pixels: padded pixels in a batch at most.
        minimum_side: pictures with a shorter side are too small for the layers.
    """

    def __init__(self, options: Options) -> None:
        needs_top = options.layer.startswith("fc")
        self.weights: Weights = load(options.weights, allow_download=options.allow_download, top=needs_top)
        memory.give_back(collect=True)
        architecture = self.weights.network.architecture
        below = (previous_relu(architecture, options.layer),) if options.method == "ddt+" else ()
        self.layers = (*check_layers(architecture, options.layer), *below)
        on_cpu = jax.default_backend() == "cpu"
        self.buckets = _BUCKETS
        self.step = _CPU_STEP if on_cpu else _ACCELERATOR_STEP
        self.batch = options.batch or (_CPU_BATCH if on_cpu else _ACCELERATOR_BATCH)
        self.pixels = (_CPU_PIXELS if on_cpu else _ACCELERATOR_PIXELS) * max(1, options.batch or 1)
        self.minimum_side = max(minimum_side(layer) for layer in self.layers)
        self._features = _compiled_features(self.weights.network, self.layers, options.dtype)
        self._buckets: set[tuple[int, ...]] = set()
        self._localize = _compiled_localize(self.layers, options.connectivity, options.backend)

    def features(self, batch: Batch) -> Maps:
        """Features of a batch, by layer."""
        maps = self._features(self.weights.params, batch.images, batch.sizes)
        if batch.images.shape not in self._buckets:
            self._buckets.add(batch.images.shape)
            memory.give_back()
        return maps

    def localize(self, models: dict[str, Model], maps: Maps, original_sizes: np.ndarray) -> Localization:
        """Each picture's object: DDT or DDT+ where models are given, SCDA where there are none."""
        return self._localize(models, maps, original_sizes)


@functools.cache
def _compiled_features(network: Network, layers: tuple[str, ...], dtype: str) -> Callable[..., Maps]:
    """The network's step, shared by every engine of the process, so that a second job compiles nothing."""
    step = functools.partial(_padded_features, network=network, layers=layers, dtype=jnp.dtype(dtype))
    return jax.jit(step, compiler_options=compiler_options())


@functools.cache
def _compiled_localize(layers: tuple[str, ...], connectivity: int, backend: Backend) -> Callable[..., Localization]:
    return jax.jit(functools.partial(_localize_batch, layers=layers, connectivity=connectivity, backend=backend))


def _padded_features(params: Any, images: jax.Array, sizes: jax.Array, **static: Any) -> Maps:
    """Features padded to whole blocks of cells, so that the later steps are compiled for few shapes."""

    def pad(features: jax.Array) -> jax.Array:
        rows, columns = (-side % _MAP_STEP for side in features.shape[1:3])
        return jnp.pad(features, ((0, 0), (0, rows), (0, columns), (0, 0)))

    maps = extract_features(params, images, sizes, **static)
    return {layer: FeatureMap(pad(features), size) for layer, (features, size) in maps.items()}


@jax.jit
def add_moments(sums: dict[str, Moments], maps: Maps) -> dict[str, Moments]:
    """Merge a batch's descriptors into the running moments of each layer."""
    return {
        layer: moments.merge(sums[layer], moments.of(features, _valid(features, size)))
        for layer, (features, size) in maps.items()
    }


def _valid(features: jax.Array, size: jax.Array) -> jax.Array:
    return valid_cells(size, (features.shape[1], features.shape[2]))


@jax.jit
def positive_counts(models: dict[str, Model], maps: Maps) -> dict[str, jax.Array]:
    """Positive cells of each component and layer in a batch, and all valid cells last: int32 ``[k + 1]``."""
    counts = {}
    for layer, (features, size) in maps.items():
        indicators = jax.vmap(functools.partial(ddt.indicator_maps, models[layer]))(features)
        valid = _valid(features, size)
        positive = ((indicators > 0) & valid[:, None]).sum((0, 2, 3))
        counts[layer] = jnp.append(positive, valid.sum())
    return counts


def _localize_batch(
    models: dict[str, Model],
    maps: Maps,
    original_sizes: jax.Array,
    *,
    layers: tuple[str, ...],
    connectivity: int,
    backend: Backend,
) -> Localization:
    def one(maps: Maps, original_size: jax.Array) -> Localization:
        top, size = maps[layers[0]]
        if not models:
            return scda.localize(top, original_size, size=size, connectivity=connectivity, backend=backend)
        plus = len(layers) > 1
        return ddt.localize(
            models[layers[0]],
            top,
            original_size,
            below=models[layers[1]] if plus else None,
            features_below=maps[layers[1]].features if plus else None,
            size=size,
            connectivity=connectivity,
            backend=backend,
        )

    return jax.vmap(one)(maps, original_sizes)
