"""The compiled steps from images to vectors: the network, the object's cells, the descriptors."""

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxloc import discovery, scda
from jaxloc.components import Backend
from jaxloc.crops import crop_resize
from jaxloc.data import Batch
from jaxloc.descriptors import DESCRIPTORS, INDEXED, Codebooks, Inputs
from jaxloc.errors import UsageError
from jaxloc.inference import DeviceWeights, Extractor, Maps, component_backend, divided
from jaxloc.models import Backbone, FeatureMap, compiler_options
from jaxloc.models.asking import class_scores
from jaxloc.options import DescribeOptions
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.retrieval.listing import Box

Features = tuple[Maps, Maps | None]


class Described(NamedTuple):
    """A batch's vectors and objects, on the devices until ``jax.device_get`` fetches them.

    Attributes:
        vectors: float32 ``[n, d]`` by descriptor.
        boxes: float32 ``[n, 4]`` in pixels of the original images; NaN if nothing was found.
        found: bool ``[n]``.
        masks: bool ``[n, h, w]``, padded.
        sizes: int32 ``[n, 2]``, valid rows and columns of the masks.
        regions: ``WeightedVectors`` ``[n, r, d]`` by descriptor, of those whose vector is the sum of regions'.
    """

    vectors: dict[str, Any]
    boxes: Any
    found: Any
    masks: Any
    sizes: Any
    regions: dict[str, Any]


def unfit_for(backbone: Backbone, layer: str, names: Iterable[str]) -> dict[str, str]:
    """Descriptors that presume activations that are never negative, if those of the layer are, and the reason."""
    if not backbone.layer(layer).signed:
        return {}
    reason = f"it presumes activations that are not negative, and {layer} of {backbone.name} has both signs"
    return {name: reason for name in names if DESCRIPTORS[name].presumes_signs}


class Describer(Extractor):
    """The network, and the step from its features to vectors.

    ``names`` are every descriptor that will be computed.

    Attributes:
        options: the job's, with the backbone's default layers in place of ``None``.
        layer: whose cells are pooled.
    """

    def __init__(self, options: DescribeOptions, names: Sequence[str], loaded: DeviceWeights | None = None) -> None:
        descriptors = [DESCRIPTORS[name] for name in names]
        if loaded is None:
            top = any(descriptor.crop is not None for descriptor in descriptors)
            loaded = on_devices(load_weights(options, [options.layer], top=top), options)
        backbone = loaded.weights.backbone
        self.options = options.resolved(backbone)
        self.layer = self.options.layer or ""
        self._lower = self.options.lower_layer if any(descriptor.lower for descriptor in descriptors) else None
        if unfit := unfit_for(backbone, self.layer, names):
            name, reason = next(iter(unfit.items()))
            fit = [name for name, one in INDEXED.items() if not (one.presumes_signs or one.crop)]
            raise UsageError(f"{name} cannot be made: {reason}; use one of {', '.join(fit)}, or another --layer")
        layers = {self.layer, self._lower or self.layer}
        super().__init__(loaded, sorted(layers, key=lambda layer: -backbone.layer(layer).stride))
        self.backend = component_backend(options.backend, self.mesh)
        self._mirrors = any(descriptor.mirrored for descriptor in descriptors)

    def both_features(self, batch: Batch) -> Features:
        """Features of a batch and, if a descriptor needs them, of its mirror images."""
        return self.features(batch), self.features(mirror(batch)) if self._mirrors else None

    def describe(
        self,
        batch: Batch,
        names: Sequence[str],
        codebooks: Codebooks = Codebooks(),  # noqa: B008 - immutable
        *,
        features: Features | None = None,
        true_boxes: Sequence[Box | None] = (),
    ) -> Described:
        """Vectors by name.

        ``features`` are those of ``both_features``; ``true_boxes`` are of all images of the job, by number.
        """
        maps, mirrored = self.both_features(batch) if features is None else features
        pooled = [name for name in names if DESCRIPTORS[name].crop is None]
        described = self.describe_features(maps, mirrored, batch.original_sizes, pooled, codebooks)
        if len(pooled) == len(names):
            return described
        described = jax.device_get(described)
        boxes = {"object": described.boxes, "image": np.full_like(described.boxes, np.nan)}
        boxes["truth"] = boxes["image"].copy()
        for place, number in enumerate(batch.indices.tolist()):
            if number >= 0 and true_boxes and (box := true_boxes[number]) is not None:
                boxes["truth"][place] = box
        scores = {name: self.class_scores(batch, boxes[crop]) for name in names if (crop := DESCRIPTORS[name].crop)}
        return described._replace(vectors=described.vectors | scores)

    def describe_features(
        self,
        maps: Maps,
        mirrored: Maps | None,
        original_sizes: np.ndarray,
        names: Sequence[str],
        codebooks: Codebooks = Codebooks(),  # noqa: B008 - immutable
    ) -> Described:
        """Vectors by name, for descriptors of features; ``original_sizes`` are those of the batch."""
        descriptors = [DESCRIPTORS[name] for name in names]
        parameters = {name: getattr(self.options, name) for one in descriptors for name in one.parameters}
        lower = self._lower if any(one.lower for one in descriptors) else None
        options = tuple(parameters.items()), self.options.connectivity, self.backend
        step = _compiled_describe(self.layer, lower, tuple(names), *options, self.mesh)
        mirrored = mirrored if any(one.mirrored for one in descriptors) else None
        with jax.debug_nans(False):  # the box of an image without an object is NaN
            return Described(*step(maps, mirrored, self.put(original_sizes), codebooks))

    def class_scores(self, batch: Batch, boxes: np.ndarray) -> np.ndarray:
        """Class scores of one box of each image, float32 ``[n, classes]``; NaN is the whole image."""
        scale = batch.sizes[:, ::-1] / batch.original_sizes[:, ::-1]
        inside = (boxes * np.tile(scale, 2)).astype(np.float32)
        step = _compiled_scores(self.weights.backbone, self.options.dtype, self.mesh)
        return np.asarray(step(self.params, *self.put((batch.images, batch.sizes, inside))))


def mirror(batch: Batch) -> Batch:
    """Mirror the batch's images left to right; their padding stays at the right."""
    images = np.zeros_like(batch.images)
    for mirrored, image, (rows, columns) in zip(images, batch.images, batch.sizes, strict=True):
        mirrored[:rows, :columns] = image[:rows, :columns][:, ::-1]
    return batch._replace(images=images)


@functools.cache
def _compiled_describe(
    layer: str,
    lower: str | None,
    names: tuple[str, ...],
    parameters: tuple[tuple[str, Any], ...],
    connectivity: int,
    backend: Backend,
    mesh: Mesh,
) -> Callable[..., tuple[Any, ...]]:
    def compute(name: str, inputs: Inputs) -> Any:
        descriptor = DESCRIPTORS[name]
        function = descriptor.compute or descriptor.regions
        if function is None:
            raise ValueError(f"{name} is not computed from features")
        return function(inputs, **{name: value for name, value in parameters if name in descriptor.parameters})

    def one(maps: Maps, mirrored: Maps | None, original_size: jax.Array, codebooks: Codebooks) -> tuple[Any, ...]:
        def inputs(maps: Maps, mask: jax.Array, mirrored: Inputs | None = None) -> Inputs:
            (features, size), below = maps[layer], None
            if lower is not None:
                under, under_size = maps[lower]
                under_mask = scda.lower_mask(mask, scda.aggregation_map(under), size=size, size_lower=under_size)
                below = Inputs(under, under_size, under_mask)
            return Inputs(features, size, mask, below, mirrored, codebooks)

        features, size = maps[layer]
        found = scda.localize(features, original_size, size=size, connectivity=connectivity, backend=backend)
        other = None
        if mirrored is not None:
            other = inputs(mirrored, _object_mask(mirrored[layer], connectivity=connectivity, backend=backend))
        image = inputs(maps, found.mask, other)
        made = {name: compute(name, image) for name in names}
        regions = {name: some for name, some in made.items() if DESCRIPTORS[name].regions is not None}
        vectors = made | {name: discovery.descriptor(some) for name, some in regions.items()}
        return vectors, found.box, found.found, found.mask, size, regions

    each = jax.vmap(one, in_axes=(0, 0, 0, None))
    return jax.jit(divided(each, mesh, whole=[3]))


@functools.cache
def _compiled_scores(backbone: Backbone, dtype: str, mesh: Mesh) -> Callable[..., jax.Array]:
    side = backbone.classifier.side

    def step(params: Any, images: jax.Array, sizes: jax.Array, boxes: jax.Array) -> jax.Array:
        pixels = images.astype(jnp.float32) / 255
        crop = functools.partial(crop_resize, shape=(side, side))
        crops = jax.vmap(lambda image, size, box: crop(image, box, size=size))(pixels, sizes, boxes)
        return class_scores(params, crops, backbone=backbone, dtype=jnp.dtype(dtype))

    return jax.jit(divided(step, mesh, whole=[0]), compiler_options=compiler_options(backbone))


def _object_mask(feature_map: FeatureMap, *, connectivity: int, backend: Backend) -> jax.Array:
    features, size = feature_map
    return scda.object_mask(scda.aggregation_map(features), size=size, connectivity=connectivity, backend=backend)


@functools.partial(jax.jit, static_argnames=("connectivity", "backend"))
def object_masks(feature_map: FeatureMap, *, connectivity: int, backend: Backend) -> jax.Array:
    """SCDA's object masks of a batch, bool ``[n, h, w]``."""
    return jax.vmap(functools.partial(_object_mask, connectivity=connectivity, backend=backend))(feature_map)
