"""The compiled steps of a localisation job: features to moments, features to boxes."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import ddt, moments, scda
from jaxloc.components import Backend
from jaxloc.ddt import Model
from jaxloc.grids import valid_cells
from jaxloc.localization import Localization
from jaxloc.models.architectures import previous_relu
from jaxloc.moments import Moments
from jaxloc.run.engine import Engine, Maps, load_weights
from jaxloc.run.options import Options


class Localizer(Engine):
    """The network, and the step from its features to objects, each compiled once for each bucket."""

    def __init__(self, options: Options) -> None:
        weights = load_weights(options, [options.layer])
        below = (previous_relu(weights.network.architecture, options.layer),) if options.method == "ddt+" else ()
        super().__init__(options, weights, (options.layer, *below))
        self._localize = _compiled_localize(self.layers, options.connectivity, options.backend)

    def localize(self, models: dict[str, Model], maps: Maps, original_sizes: np.ndarray) -> Localization:
        """Each picture's object: DDT or DDT+ where models are given, SCDA where there are none."""
        return self._localize(models, maps, original_sizes)


@functools.cache
def _compiled_localize(layers: tuple[str, ...], connectivity: int, backend: Backend) -> Callable[..., Localization]:
    return jax.jit(functools.partial(_localize_batch, layers=layers, connectivity=connectivity, backend=backend))


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
