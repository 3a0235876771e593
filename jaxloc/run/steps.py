"""The compiled steps of a run: features to moments, features to objects."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import ArrayLike

from jaxloc import ddt, moments
from jaxloc.components import Backend
from jaxloc.data import Batch, Buckets
from jaxloc.ddt import Model
from jaxloc.errors import UsageError
from jaxloc.grids import valid_cells
from jaxloc.inference import DeviceWeights, Extractor, Maps, component_backend, divided
from jaxloc.localization import Localization
from jaxloc.localizers import METHODS, Inputs, Method
from jaxloc.models import BACKBONES, compiler_options
from jaxloc.models.asking import classifier
from jaxloc.models.backbone import Backbone
from jaxloc.moments import Moments
from jaxloc.options import LocalizeEachOptions, LocalizeOptions
from jaxloc.parts import Parts
from jaxloc.run.blas import one_blas_thread
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.model_file import FittedSet, ModelFile, pairs
from jaxloc.signs import SIGN_RULES

Models = Mapping[str, Model]
"""A fitted model of each layer."""
INSIDE = "inside"
"""Name, beside those of layers, of a model whose further components are of the object's cells."""
Found = tuple[Localization, Parts | None]
"""An object, and its parts if asked for."""


class Steps(Extractor):
    """The network and the steps from its features to moments, fits and objects, each compiled once for each bucket.

    Attributes:
        sums: names of the moments that the method fits: those of each layer, and across each pair of them.
        label: number of the class to find in every image, -1 for the most probable one.
        classes_each: number of most probable classes whose object is found in each image.
    """

    def __init__(self, options: LocalizeOptions, loaded: DeviceWeights | None = None) -> None:
        self.method = METHODS[options.method]
        if not all(hasattr(options, name) for name in self.method.options):  # its own ones at their defaults
            options = LocalizeEachOptions(**vars(options))
        if loaded is None:
            named = BACKBONES.get(str(options.weights))
            if self.method.class_map and named is not None:
                _averaged(named, self.method)  # before the cure of weights that lack their classifier misleads
            weights = load_weights(options, [options.layer], top=bool(self.method.asks))
            loaded = on_devices(weights, options)
        backbone = loaded.weights.backbone
        self.sign = options.sign or backbone.defaults.sign
        self.connectivity = options.connectivity or self.method.connectivity
        self.options = dataclasses.replace(options, sign=self.sign, connectivity=self.connectivity)
        if self.method.class_map:
            layers: tuple[str, ...] = (_averaged(backbone, self.method),)
        else:
            layers = backbone.with_below(options.layer or backbone.defaults.localization, self.method.layers_below)
        self.label, self.classes_each = -1, 1
        if isinstance(options, LocalizeEachOptions) and self.method.asks:
            self.label = -1 if options.label is None else backbone.class_number(options.label)
            self.classes_each = options.top_k
        self._attention = _attention_layers(self.method, self.sign, backbone, layers)
        super().__init__(loaded, layers, list(self._attention.values()))
        self.backend = component_backend(options.backend, self.mesh)
        self.sums = (*self.layers, *pairs(self.layers))

    def pending(self, buckets: Buckets) -> list[tuple[int, ...]]:
        """As of ``Extractor``; methods that ask a classifier take no features."""
        return [] if self.method.asks else super().pending(buckets)

    def features(self, batch: Batch) -> Maps:
        """As of ``Extractor``, as the method takes them; empty for methods that ask a classifier."""
        return {} if self.method.asks else self.descriptors(super().features(batch))

    def descriptors(self, maps: Maps) -> Maps:
        """Features as the method takes them: as they are, or their square roots."""
        return _compiled_roots(self.mesh)(maps) if self.method.roots else maps

    def moments(self, maps: Maps, owners: np.ndarray) -> tuple[dict[str, Moments], list[tuple[int, int, int]]]:
        """Moments of each set in each device's part of a batch, given the set of each image ``[n]`` (-1: no image).

        Returns:
            moments by name with a leading axis, on the devices; and ``(row, set, images)`` for each row of that axis
            that holds any: the set's number, and its number of images.
        """
        local, count, rows = self._segments(owners)
        step = _compiled_moments(self.layers, count, self.mesh)
        return step(maps, local), rows

    def inside_moments(
        self, models: Sequence[Models | None], maps: Maps, owners: np.ndarray
    ) -> tuple[dict[str, Moments], list[tuple[int, int, int]]]:
        """``moments`` of the deepest layer's cells inside each object, under ``INSIDE``."""
        local, count, rows = self._segments(owners)
        step = _compiled_inside(self.method, self.layers, self.connectivity, self.backend, count, self.mesh)
        return step(self._stack(models), maps, local), rows

    def fit_inside(self, models: Models, inside: Moments) -> Model:
        """A model whose ``P²``, ``P³``, … are the first, second, … component of the cells inside the objects."""
        first, fit = models[self.layers[0]], _compiled_fit(self.method.fit)
        with one_blas_thread():
            further = fit(inside, components=self.options.components - 1, sign=self.sign)
        further = jax.device_get(further)
        joined = jax.tree.map(lambda one, other: np.concatenate([one[:1], other]), first, further)
        return joined._replace(mean=further.mean)

    def _segments(self, owners: np.ndarray) -> tuple[jax.Array, int, list[tuple[int, int, int]]]:
        """Of each entry its set's number among those of its device, their largest number, and what rows hold."""
        divided_owners = owners.reshape(self.devices, -1)
        known = [np.unique(part[part >= 0]) for part in divided_owners]
        count = 1 << (max(1, *(len(sets) for sets in known)) - 1).bit_length()
        local = np.full_like(divided_owners, -1)
        rows = []
        for device, (part, sets) in enumerate(zip(divided_owners, known, strict=True)):
            for segment, which in enumerate(sets.tolist()):
                local[device, part == which] = segment
                rows.append((device * count + segment, which, int((part == which).sum())))
        return self.put(local.ravel().astype(np.int32)), count, rows

    def fit(self, moments: Mapping[str, Moments]) -> FittedSet:
        """Fit an image set from its moments."""
        fit, options = _compiled_fit(self.method.fit), self.options
        with one_blas_thread():  # the eigenvectors' last bits depend on the number of threads
            models = {
                layer: fit(moments[layer], components=options.components, sign=self.sign) for layer in self.layers
            }
            return FittedSet(*jax.device_get((self._agreeing(models, moments), moments)))

    @property
    def needs_evidence(self) -> bool:
        """Whether the sign rule looks at the images once more when the set is fitted."""
        return SIGN_RULES[self.sign].evidence is not None

    def orient(self, fitted: FittedSet, sums: Mapping[str, np.ndarray]) -> FittedSet:
        """Fix the signs of a fit, given the sum of ``sign_evidence`` over the set's images."""
        turned = {
            layer: ddt.orient(model, sums[layer][:-1] / max(float(sums[layer][-1]), 1))
            for layer, model in fitted.models.items()
        }
        return dataclasses.replace(fitted, models=jax.device_get(self._agreeing(turned, fitted.moments)))

    def _agreeing(self, models: Models, sums: Mapping[str, Moments]) -> Models:
        """Models whose first components have the sign of the deepest layer's, where there are moments across them."""
        models = dict(models)
        for pair, (upper, lower) in pairs(self.layers).items():
            if pair in sums:
                models[lower] = ddt.agree(models[lower], models[upper], sums[pair])
        return models

    def model_file(self, fits: Mapping[str, FittedSet]) -> ModelFile:
        """A model file of fits by the name of their set."""
        return ModelFile(
            sets=fits,
            method=self.method.name,
            layers=self.layers,
            sign=self.sign,
            max_side=self.options.max_side,
            architecture=self.weights.backbone.name,
            weights_checksum=self.weights.checksum,
        )

    def localize(
        self,
        models: Sequence[Models | None],
        maps: Maps,
        original_sizes: np.ndarray,
        pixels: np.ndarray | None = None,
        sizes: np.ndarray | None = None,
        labels: np.ndarray | None = None,
    ) -> Found:
        """Each image's object, and its parts if requested. Of methods that ask, the second axis counts its objects.

        Args:
            models: of each entry's set; ``None`` for entries that only fill the batch, and for methods without a fit.
            maps: features of the batch; empty for methods that ask.
            original_sizes: int32 ``[n, 2]``.
            pixels: uint8 ``[n, rows, columns, 3]``, zero-padded; read by methods that ask.
            sizes: int32 ``[n, 2]``, valid rows and columns of ``pixels``.
            labels: int32 ``[n]``, class to find in each image, -1 for the most probable one; ``None`` means ``label``.
        """
        options, asks = self.options, self.method.asks
        asked = (self.weights.backbone, options.dtype) if asks else None
        own = tuple((name, getattr(options, name)) for name in self.method.options)
        number = self.classes_each if asks else options.parts
        step = _compiled_localize(
            self.method, self.layers, self.connectivity, self.backend, number, own, asked, self.mesh
        )
        asking: tuple[Any, ...] = (None, None, None, None)
        if asks:
            labels = np.full(len(original_sizes), self.label, np.int32) if labels is None else labels
            asking = (*self.put((pixels, sizes, labels)), self.params)
        with jax.debug_nans(False):  # the box of an image without an object is NaN
            return step(self._stack(models), maps, self.put(original_sizes), *asking)

    def further(self, one: Localization) -> dict[str, Any]:
        """Fields of a finding that only some methods fill, of an object on the host."""
        label = one.label
        every = one.objects if self.options.regions and self.decide(one)[0] else None
        return {
            "deviation": one.deviation,
            "class_name": None if label is None else self.weights.backbone.class_name(int(label)),
            "probability": None if one.probability is None else float(one.probability),
            "point": None if one.point is None or not one.found else tuple(map(float, one.point)),
            "passes": None if one.passes is None else int(one.passes),
            "regions": () if one.regions is None else _rows(one.regions, np.isfinite(one.regions).all(1)),
            "objects": () if every is None else _rows(np.column_stack(every), np.asarray(every.weight) > 0),
        }

    def of_image(self, found: Localization, position: int, size: np.ndarray) -> list[Localization]:
        """The objects of one image of a batch that is on the host, without padding.

        ``size`` is that of the features, int32 ``[2]``, valid rows and columns.
        """
        one = jax.tree.map(lambda values: values[position], found)
        if not self.method.asks:  # the maps of others have no padding
            rows, columns = size
            return [one._replace(response=one.response[:rows, :columns], mask=one.mask[:rows, :columns])]
        return [jax.tree.map(lambda values, rank=rank: values[rank], one) for rank in range(self.classes_each)]

    def decide(self, one: Localization) -> tuple[bool, bool, float | None]:
        """Whether an image shows an object, whether it is noisy, and its share of positive cells if the method fits."""
        share = None if self.method.fit is None else float(one.positive_share)
        noisy = share is not None and bool(np.float32(share) <= np.float32(self.options.noise_threshold))
        return bool(one.found) and not noisy, noisy, share

    def sign_evidence(self, models: Sequence[Models | None], maps: Maps) -> dict[str, np.ndarray]:
        """What the sign rule sees in each image, and its weight last: float32 ``[n, k + 1]`` by layer."""
        step = _compiled_evidence(self.sign, tuple(self._attention.items()), self.layers, self.mesh)
        return jax.device_get(step(self._stack(models), maps))

    def _stack(self, models: Sequence[Models | None]) -> Models:
        """Models along a leading axis; entries without one repeat another's."""
        some = next((one for one in models if one), None)
        if some is None:
            return {}
        each = [one or some for one in models]
        if all(one is each[0] for one in each):
            stacked = jax.tree.map(lambda value: np.broadcast_to(value, (len(each), *np.shape(value))), each[0])
        else:
            stacked = jax.tree.map(lambda *values: np.stack(values), *each)
        return self.put(stacked)


def _rows(values: ArrayLike, chosen: ArrayLike) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, np.asarray(values)[np.asarray(chosen)].astype(float).tolist()))


@functools.cache
def _compiled_roots(mesh: Mesh) -> Callable[[Maps], Maps]:
    def step(maps: Maps) -> Maps:
        return {layer: one._replace(features=jnp.sqrt(one.features)) for layer, one in maps.items()}

    return jax.jit(divided(step, mesh))


@functools.cache
def _compiled_moments(layers: tuple[str, ...], count: int, mesh: Mesh) -> Callable[..., dict[str, Moments]]:
    def step(maps: Maps, owners: jax.Array) -> dict[str, Moments]:
        sums = {
            layer: moments.of_segments(features, owners, count, _valid(features, size))
            for layer, (features, size) in ((one, maps[one]) for one in layers)
        }
        for pair, (upper, lower) in pairs(layers).items():
            (features, size), (below, _) = maps[upper], maps[lower]
            sums[pair] = moments.of_segments(features, owners, count, _valid(features, size), below=below)
        return sums

    return jax.jit(divided(step, mesh))


@functools.cache
def _compiled_inside(
    method: Method, layers: tuple[str, ...], connectivity: int, backend: Backend, count: int, mesh: Mesh
) -> Callable[..., dict[str, Moments]]:
    def mask_of(models: Models, maps: Maps) -> jax.Array:
        inputs = Inputs(tuple(maps[layer] for layer in layers), jnp.ones(2, jnp.int32))
        fitted = tuple(models[layer] for layer in layers)
        return method.localize(fitted, inputs, connectivity=connectivity, backend=backend).mask

    def step(models: Models, maps: Maps, owners: jax.Array) -> dict[str, Moments]:
        features = maps[layers[0]].features
        return {INSIDE: moments.of_segments(features, owners, count, jax.vmap(mask_of)(models, maps))}

    return jax.jit(divided(step, mesh))


def _valid(features: jax.Array, size: jax.Array) -> jax.Array:
    return valid_cells(size, (features.shape[-3], features.shape[-2]))


def _attention_layers(method: Method, sign: str, backbone: Backbone, layers: Sequence[str]) -> dict[str, str]:
    """The layer of class attention of each layer, if the sign rule looks at it; raises for layers that do not fit."""
    signed = [layer for layer in layers if backbone.layer(layer).signed]
    if method.non_negative and signed:
        able = " or ".join(name for name, one in METHODS.items() if not (one.fit or one.non_negative or one.asks))
        raise UsageError(
            f"{method.name} adds up activations, which must not be negative, and {signed[0]} of {backbone.name} has "
            f"both signs: use --method {able}"
        )
    if method.fit is None:
        return {}
    rule = SIGN_RULES[sign]
    if rule.non_negative and signed:
        able = ", ".join(name for name, one in SIGN_RULES.items() if not one.non_negative)
        raise UsageError(
            f"--sign {sign} adds up activations, which must not be negative, and {signed[0]} of {backbone.name} has "
            f"both signs: use one of {able}"
        )
    attention = {layer: backbone.layer(layer).attention for layer in layers} if rule.needs_attention else {}
    if not all(attention.values()):
        raise UsageError(f"--sign {sign} looks at a class token's attention, which {backbone.name} lacks: use another")
    return attention


@functools.cache
def _compiled_evidence(
    sign: str, attention: tuple[tuple[str, str], ...], layers: tuple[str, ...], mesh: Mesh
) -> Callable[..., dict[str, jax.Array]]:
    where = dict(attention)

    def one(models: Models, maps: Maps) -> dict[str, jax.Array]:
        found = {}
        for layer in layers:
            features, size = maps[layer]
            looked_at = maps[where[layer]].features if where else None
            numbers, weight = ddt.sign_evidence(models[layer], features, looked_at, sign=sign, size=size)
            found[layer] = jnp.append(numbers, weight)
        return found

    return jax.jit(divided(jax.vmap(one), mesh))


def _averaged(backbone: Backbone, method: Method) -> str:
    """The layer whose cells the classifier averages."""
    if backbone.head is None or not backbone.head.averages:
        able = ", ".join(one.name for one in BACKBONES.values() if one.head is not None and one.head.averages)
        raise UsageError(f"{method.name} needs a classifier that averages a map, as those of --weights {able}")
    return backbone.head.averages


@functools.cache
def _compiled_localize(
    method: Method,
    layers: tuple[str, ...],
    connectivity: int,
    backend: Backend,
    number: int,
    own: tuple[tuple[str, Any], ...],
    asked: tuple[Backbone, str] | None,
    mesh: Mesh,
) -> Callable[..., Found]:
    labelling: dict[str, Any] = {"connectivity": connectivity, "backend": backend}

    def one(
        models: Models, maps: Maps, original_size: jax.Array, image: Any, size: Any, label: Any, params: Any
    ) -> Found:
        asking = None if asked is None else classifier(params, backbone=asked[0], dtype=asked[1])
        seen = () if method.asks else tuple(maps[layer] for layer in layers)
        inputs = Inputs(seen, original_size, image, size, asking, label)
        fitted = tuple(models[layer] for layer in layers) if method.fit else ()

        def localized(inputs: Inputs) -> Localization:
            return method.localize(fitted, inputs, **dict(own), **labelling)

        if asked is not None:
            labels = label - jnp.arange(number, dtype=jnp.int32)
            return jax.vmap(lambda label: localized(inputs._replace(label=label)))(labels), None
        found = localized(inputs)
        if not number or method.parts is None:
            return found, None
        dividing = (models[INSIDE],) if INSIDE in models else fitted
        return found, method.parts(dividing, inputs, found, number=number, **labelling)

    def in_turn(*arguments: Any) -> Found:
        *batch, params = arguments
        some = tuple(batch)
        return jax.lax.map(lambda image: one(*image, params), some, batch_size=method.together)  # type: ignore[call-arg]

    each = in_turn if method.asks else jax.vmap(one, in_axes=(0, 0, 0, 0, 0, 0, None))
    options = compiler_options(asked[0]) if asked else None
    return jax.jit(divided(each, mesh, whole=[6]), compiler_options=options)


@functools.cache
def _compiled_fit(fit: Callable[..., Model]) -> Callable[..., Model]:
    return jax.jit(fit, static_argnames=("components", "sign"))
