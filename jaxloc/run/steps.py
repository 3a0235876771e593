"""The compiled steps of a localisation job: features to moments, features to boxes."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxloc import ddt, moments, parts, scda
from jaxloc.components import Backend
from jaxloc.ddt import Model
from jaxloc.grids import valid_cells
from jaxloc.inference import Extractor, Maps, component_backend, divided
from jaxloc.localization import Localization
from jaxloc.models.architectures import previous_relu
from jaxloc.moments import Moments
from jaxloc.parts import Parts
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.options import Options

Models = dict[str, Model]
Located = tuple[Localization, Parts | None]
"""An object, and its parts where they were asked for."""


class Steps(Extractor):
    """The network, and the steps from its features to moments and to objects, each compiled once for each bucket."""

    def __init__(self, options: Options) -> None:
        weights = load_weights(options, [options.layer])
        below = (previous_relu(weights.network.architecture, options.layer),) if options.method == "ddt+" else ()
        super().__init__(on_devices(weights, options), (options.layer, *below))
        self.backend = component_backend(options.backend, self.mesh)
        self._localize = _compiled_localize(
            self.layers, options.connectivity, self.backend, options.method != "scda", options.parts, self.mesh
        )

    def moments(self, maps: Maps, owners: np.ndarray) -> tuple[dict[str, Moments], list[tuple[int, int, int]]]:
        """Moments of each set in each device's part of a batch.

        Args:
            maps: features of the batch.
            owners: int ``[n]``, the set each image belongs to; -1 for entries that only fill the batch.

        Returns:
            moments by layer with a leading axis, on the devices, and for each row of it that holds any the set it is
            of and the number of images: ``(row, set, images)``.
        """
        parts = owners.reshape(self.devices, -1)
        known = [np.unique(part[part >= 0]) for part in parts]
        count = 1 << (max(1, *(len(sets) for sets in known)) - 1).bit_length()
        local = np.full_like(parts, -1)
        rows = []
        for device, (part, sets) in enumerate(zip(parts, known, strict=True)):
            for segment, which in enumerate(sets.tolist()):
                local[device, part == which] = segment
                rows.append((device * count + segment, which, int((part == which).sum())))
        step = _compiled_moments(count, self.mesh)
        return step(maps, self.put(local.ravel().astype(np.int32))), rows

    def localize(self, models: Sequence[Models | None], maps: Maps, original_sizes: np.ndarray) -> Located:
        """Each image's object: DDT or DDT+ with the models of its set, SCDA where there are none; and its parts.

        Args:
            models: of each entry of the batch; ``None`` for entries that only fill it, and for SCDA.
            maps: features of the batch.
            original_sizes: int32 ``[n, 2]``.
        """
        return self._localize(self._stack(models), maps, self.put(original_sizes))

    def positive_counts(self, models: Sequence[Models | None], maps: Maps) -> dict[str, np.ndarray]:
        """Positive cells of each component in each image, and its valid cells last: int32 ``[n, k + 1]`` by layer."""
        return jax.device_get(_compiled_counts(self.mesh)(self._stack(models), maps))

    def _stack(self, models: Sequence[Models | None]) -> Models:
        """Models along a leading axis, those of entries without one repeated from another."""
        some = next((one for one in models if one), None)
        if some is None:
            return {}
        each = [one or some for one in models]
        if all(one is each[0] for one in each):
            stacked = jax.tree.map(lambda value: np.broadcast_to(value, (len(each), *np.shape(value))), each[0])
        else:
            stacked = jax.tree.map(lambda *values: np.stack(values), *each)
        return self.put(stacked)


@functools.cache
def _compiled_moments(count: int, mesh: Mesh) -> Callable[..., dict[str, Moments]]:
    def step(maps: Maps, owners: jax.Array) -> dict[str, Moments]:
        return {
            layer: moments.of_segments(features, owners, count, _valid(features, size))
            for layer, (features, size) in maps.items()
        }

    return jax.jit(divided(step, mesh))


def _valid(features: jax.Array, size: jax.Array) -> jax.Array:
    return valid_cells(size, (features.shape[-3], features.shape[-2]))


@functools.cache
def _compiled_counts(mesh: Mesh) -> Callable[..., dict[str, jax.Array]]:
    def one(models: Models, maps: Maps) -> dict[str, jax.Array]:
        counts = {}
        for layer, (features, size) in maps.items():
            valid = _valid(features, size)
            positive = ((ddt.indicator_maps(models[layer], features) > 0) & valid).sum((1, 2))
            counts[layer] = jnp.append(positive, valid.sum())
        return counts

    return jax.jit(divided(jax.vmap(one), mesh))


@functools.cache
def _compiled_localize(
    layers: tuple[str, ...], connectivity: int, backend: Backend, fitted: bool, number: int, mesh: Mesh
) -> Callable[..., Located]:
    labelling: dict[str, Any] = {"connectivity": connectivity, "backend": backend}

    def one(models: Models, maps: Maps, original_size: jax.Array) -> Located:
        top, size = maps[layers[0]]
        if not fitted:
            return scda.localize(top, original_size, size=size, **labelling), None
        plus = len(layers) > 1
        model = models[layers[0]]
        whole = ddt.localize(
            model,
            top,
            original_size,
            below=models[layers[1]] if plus else None,
            features_below=maps[layers[1]].features if plus else None,
            size=size,
            **labelling,
        )
        if not number:
            return whole, None
        indicators = ddt.indicator_maps(model, top)
        return whole, parts.localize(
            indicators, model.eigenvalues, whole.mask, original_size, number=number, size=size, **labelling
        )

    return jax.jit(divided(jax.vmap(one), mesh))


fit = jax.jit(ddt.fit, static_argnames=("components", "sign"))
"""``ddt.fit``, compiled."""
