"""Compiled programs from a batch of images to features, shared by all networks of one kind in the process."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from jaxloc.inference.devices import DATA, DIVIDED, WHOLE, divided
from jaxloc.models import Backbone, FeatureMap, compiler_options, extract_features

Maps = dict[str, FeatureMap]
Program = Callable[..., Maps]

_MAP_STEP = 8
"""Feature maps are padded to multiples of this many cells, so that later steps are compiled for few shapes."""


class Programs:
    """The programs of one network at given layers, one per shape of a batch."""

    def __init__(self, backbone: Backbone, layers: tuple[str, ...], dtype: str, mesh: Mesh) -> None:
        self._extract = functools.partial(extract_features, backbone=backbone, layers=layers, dtype=jnp.dtype(dtype))
        self._backbone, self._mesh = backbone, mesh
        self._compiled: dict[tuple[int, ...], Program] = {}

    def __contains__(self, shape: tuple[int, ...]) -> bool:
        return shape in self._compiled

    def compile(self, params: Any, shape: tuple[int, ...]) -> Program:
        """The program for images uint8 of a shape ``[n, rows, columns, 3]``, compiled at the first request."""
        if shape not in self._compiled:
            rows = NamedSharding(self._mesh, DIVIDED)
            images = jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=rows)
            sizes = jax.ShapeDtypeStruct((shape[0], 2), jnp.int32, sharding=rows)
            self._compiled[shape] = self._jit(params).lower(params, images, sizes).compile()
        return self._compiled[shape]

    def temporary_bytes(self, shape: tuple[int, ...]) -> int:
        """Memory that each device needs for the intermediate results of a compiled shape."""
        return self._compiled[shape].memory_analysis().temp_size_in_bytes  # type: ignore[attr-defined]

    def _jit(self, params: Any) -> Any:
        specs = jax.tree.map(lambda values: values.sharding.spec, params)

        def step(params: Any, images: jax.Array, sizes: jax.Array) -> Maps:
            maps = self._extract(jax.tree.map(_gather, params, specs), images, sizes)
            return padded(maps)

        sharded = jax.shard_map(
            step, mesh=self._mesh, in_specs=(specs, DIVIDED, DIVIDED), out_specs=DIVIDED, check_vma=False
        )
        return jax.jit(sharded, compiler_options=compiler_options(self._backbone))


@functools.cache
def programs_of(backbone: Backbone, layers: tuple[str, ...], dtype: str, mesh: Mesh, form: tuple[Any, ...]) -> Programs:
    """The programs for parameters of one ``form``: their shapes, and how they are divided over the devices."""
    return Programs(backbone, layers, dtype, mesh)


@functools.cache
def joining(mesh: Mesh) -> Callable[[Maps, Maps], Maps]:
    """The program that joins the features of two halves of a batch, device by device."""
    return jax.jit(divided(lambda *halves: jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *halves), mesh))


def _gather(values: jax.Array, spec: Any) -> jax.Array:
    """Parameters whole: gathered from the devices that keep a part each."""
    return values if spec == WHOLE else jax.lax.all_gather(values, DATA, axis=-1, tiled=True)


def padded(maps: Maps) -> Maps:
    """Feature maps padded to multiples of ``_MAP_STEP`` cells."""

    def pad(features: jax.Array) -> jax.Array:
        rows, columns = (-side % _MAP_STEP for side in features.shape[1:3])
        return jnp.pad(features, ((0, 0), (0, rows), (0, columns), (0, 0)))

    return {layer: FeatureMap(pad(features), size) for layer, (features, size) in maps.items()}
