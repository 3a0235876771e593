"""The compiled steps from images to vectors: the network, the selection, the descriptors asked for."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxloc import scda
from jaxloc.components import Backend
from jaxloc.crops import crop_resize
from jaxloc.data import Batch
from jaxloc.errors import UsageError
from jaxloc.inference import DeviceWeights, Extractor, Maps, component_backend, divided
from jaxloc.models import Backbone, FeatureMap, compiler_options, extract_features
from jaxloc.options import DescribeOptions
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.retrieval.descriptors import KINDS, Codebooks, describe, select


class Described(NamedTuple):
    """A batch's vectors and objects, on the devices until ``jax.device_get`` fetches them.

    Attributes:
        vectors: float32 ``[n, d]`` by descriptor.
        boxes: float32 ``[n, 4]`` in pixels of the original images; NaN where nothing was found.
        found: bool ``[n]``.
        masks: bool ``[n, h, w]``, padded.
        sizes: int32 ``[n, 2]``, valid rows and columns of the masks.
    """

    vectors: dict[str, Any]
    boxes: Any
    found: Any
    masks: Any
    sizes: Any


class Describer(Extractor):
    """The network, and the step from its features to vectors.

    Args:
        options: the job's.
        names: every descriptor that will be asked for.
        loaded: the network's weights, if they are on the devices already.
    """

    def __init__(self, options: DescribeOptions, names: Sequence[str], loaded: DeviceWeights | None = None) -> None:
        kinds = [KINDS[name] for name in names]
        if loaded is None:
            weights = load_weights(options, [options.layer], top=any(kind.top for kind in kinds))
            loaded = on_devices(weights, options)
        backbone = loaded.weights.backbone
        self.options = options.resolved(backbone)
        self.layer = self.options.layer or ""
        self.lower = self.options.lower_layer if any(kind.lower for kind in kinds) else None
        layers = {self.layer, self.lower or self.layer}
        super().__init__(loaded, sorted(layers, key=lambda layer: -backbone.layer(layer).stride))
        self.backend = component_backend(options.backend, self.mesh)
        self._flip = any(kind.flip for kind in kinds)

    def both_features(self, batch: Batch) -> tuple[Maps, Maps | None]:
        """Features of a batch and, where a descriptor needs them, of its mirror images."""
        return self.features(batch), self.features(mirror(batch)) if self._flip else None

    def describe(
        self,
        maps: Maps,
        mirrored: Maps | None,
        original_sizes: np.ndarray,
        names: Sequence[str],
        codebooks: Codebooks | None = None,
    ) -> Described:
        """Vectors by name, for descriptors that need features only."""
        options = self.options
        step = _compiled_describe(
            self.layer,
            self.lower,
            tuple(names),
            options.power,
            options.levels,
            options.region_global,
            options.connectivity,
            self.backend,
            self.mesh,
        )
        mirrored = mirrored if any(KINDS[name].flip for name in names) else None
        return Described(
            *step(maps, mirrored, self.put(original_sizes), codebooks or Codebooks(), jnp.float32(options.weight))
        )

    def describe_one_kind(self, batch: Batch, name: str, codebooks: Codebooks) -> Described:
        """Vectors of one kind, from images."""
        maps, mirrored = self.both_features(batch)
        if not KINDS[name].top:
            return self.describe(maps, mirrored, batch.original_sizes, [name], codebooks)
        described = jax.device_get(self.describe(maps, None, batch.original_sizes, []))
        boxes = described.boxes if name == "fc8_box" else np.full_like(described.boxes, np.nan)
        return described._replace(vectors={name: self.classify(batch, boxes)})

    def classify(self, batch: Batch, boxes: np.ndarray) -> np.ndarray:
        """Outputs of the classifier, float32 ``[n, classes]``, for one box of each image; NaN is the whole image.

        Args:
            batch: the images.
            boxes: ``[n, 4]`` in pixels of the original images.
        """
        scale = batch.sizes[:, ::-1] / batch.original_sizes[:, ::-1]
        inside = (boxes * np.tile(scale, 2)).astype(np.float32)
        step = _compiled_classify(self.weights.backbone, self.options.dtype, self.mesh)
        return np.asarray(step(self.params, *self.put((batch.images, batch.sizes, inside))))


def mirror(batch: Batch) -> Batch:
    """The batch's images left to right; their padding stays at the right."""
    images = np.zeros_like(batch.images)
    for photo, image, (rows, columns) in zip(images, batch.images, batch.sizes, strict=True):
        photo[:rows, :columns] = image[:rows, :columns][:, ::-1]
    return batch._replace(images=images)


@functools.cache
def _compiled_describe(
    layer: str,
    lower: str | None,
    names: tuple[str, ...],
    power: float,
    levels: int,
    region_global: bool,
    connectivity: int,
    backend: Backend,
    mesh: Mesh,
) -> Callable[..., tuple[Any, ...]]:
    lower = lower if any(KINDS[name].lower for name in names) else None

    def one(
        maps: Maps, mirrored: Maps | None, original_size: jax.Array, codebooks: Codebooks, weight: jax.Array
    ) -> tuple[Any, ...]:
        top = maps[layer]
        object_ = scda.localize(top.features, original_size, size=top.size, connectivity=connectivity, backend=backend)
        image = select(top, object_.mask, maps[lower] if lower else None)
        other = None
        if mirrored is not None:
            aggregation = scda.aggregation_map(mirrored[layer].features)
            mask = scda.object_mask(aggregation, size=mirrored[layer].size, connectivity=connectivity, backend=backend)
            other = select(mirrored[layer], mask, mirrored[lower] if lower else None)
        describe_one = functools.partial(
            describe, weight=weight, power=power, levels=levels, region_global=region_global
        )
        vectors = {name: describe_one(name, image, other, codebooks) for name in names}
        return vectors, object_.box, object_.found, object_.mask, top.size

    each = jax.vmap(one, in_axes=(0, 0, 0, None, None))
    return jax.jit(divided(each, mesh, whole=[3, 4]))


@functools.cache
def _compiled_classify(backbone: Backbone, dtype: str, mesh: Mesh) -> Callable[..., jax.Array]:
    if backbone.head is None:
        raise UsageError(f"{backbone.title} has no classifier")
    side, layer = backbone.head.side, backbone.head.layer

    def step(params: Any, images: jax.Array, sizes: jax.Array, boxes: jax.Array) -> jax.Array:
        pixels = images.astype(jnp.float32) / 255
        crops = jax.vmap(lambda image, size, box: crop_resize(image, box, (side, side), size=size))(
            pixels, sizes, boxes
        )
        found = extract_features(params, crops, backbone=backbone, layers=(layer,), dtype=jnp.dtype(dtype))
        return found[layer].features[:, 0, 0].astype(jnp.float32)

    return jax.jit(divided(step, mesh, whole=[0]), compiler_options=compiler_options())


@functools.partial(jax.jit, static_argnames=("connectivity", "backend"))
def object_masks(feature_map: FeatureMap, *, connectivity: int, backend: Backend) -> jax.Array:
    """SCDA's object masks of a batch, bool ``[n, h, w]``."""

    def one(features: jax.Array, size: jax.Array) -> jax.Array:
        aggregation = scda.aggregation_map(features)
        return scda.object_mask(aggregation, size=size, connectivity=connectivity, backend=backend)

    return jax.vmap(one)(*feature_map)
