"""The methods that ask a classifier, on one image of a job: ``cam``, ``eiss`` and ``beam`` behind one form."""

import jax
import jax.numpy as jnp

from jaxloc import beam, cam, crops, eiss, localization
from jaxloc.components import Backend
from jaxloc.localization import Localization
from jaxloc.localizers import Inputs

_THRESHOLD = {"cam": 0.5, "beam": 0.4}
"""Share of the greatest value of a map that a cell of the object exceeds."""
_SIZES = (1, 2)
"""Sides of the images whose class maps are averaged, in those that the classifier was trained on."""
_GRID = (56, 56)  # that EISS's regions are shown on


def class_map(
    inputs: Inputs, *, heat_threshold: float | None, top_k: int, connectivity: int, backend: Backend
) -> Localization:
    """The object by the class map of ``cam``.

    If the class is the classifier's choice, the maps of all classes are summed, weighted by their probability: the
    object counts, whichever of several kinds of dog it is.
    """
    asked, image, whole = inputs.classifier, _pixels(inputs), jnp.full(4, jnp.nan)
    sides = [asked.side * size for size in _SIZES]
    maps = [asked.map_of(crops.crop_resize(image, whole, (side, side), size=inputs.size)[None])[0] for side in sides]
    probabilities = jnp.stack([asked.of_map(one, None) for one in maps]).mean(0)
    label = _label(inputs, probabilities)
    alone = jax.nn.one_hot(label, len(probabilities))
    weights = jnp.where((inputs.label == -1) & (top_k == 1), probabilities, alone)
    kernel, bias = (
        jnp.matmul(part, weights, precision=jax.lax.Precision.HIGHEST) for part in (asked.kernel, asked.bias)
    )
    seen = cam.fuse([cam.activation_map(one, kernel) + bias for one in maps])
    cells = cam.spread(seen, maps[-1])
    found = localization.of_peak(
        cells - cells.min(),
        inputs.image_size,
        threshold=_THRESHOLD["cam"] if heat_threshold is None else heat_threshold,
        connectivity=connectivity,
        backend=backend,
    )
    point = localization.peak(seen, inputs.image_size, backend=backend)
    passes = jnp.int32(sum(size**2 for size in _SIZES))
    return found._replace(label=label, probability=probabilities[label], point=point, passes=passes)


def eiss_search(
    inputs: Inputs,
    *,
    windows: str,
    window_side: float,
    eta: float,
    best: int,
    classes_kept: int,
    erase: str,
    max_iterations: int,
    seed: int,
    connectivity: int,
    backend: Backend,
) -> Localization:
    """The object by the last region of ``eiss``. The response is the share of iterations whose region holds a cell."""
    asked = inputs.classifier
    how, _, number = windows.partition(":")
    found = eiss.search(
        asked.of_images,
        _pixels(inputs),
        size=inputs.size,
        side=asked.side,
        # A given class again and again changes no comparison.
        classes=jnp.where(inputs.label == -1, -1 - jnp.arange(classes_kept), inputs.label),
        alpha=window_side,
        eta=eta,
        best=best,
        grid=int(number) if how == "grid" else None,
        samples=int(number) if how == "random" else None,
        key=jax.random.key(seed),
        fill=0.5 if erase == "grey" else 0.0,
        max_iterations=max_iterations,
    )
    x0, y0, x1, y1 = (found.regions / asked.side).T[:, :, None]
    y, x = ((jnp.arange(cells) + 0.5) / cells for cells in _GRID)
    inside = ((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None]
    taken = jnp.arange(len(inside)) <= found.iterations
    places = found.regions * jnp.tile(inputs.image_size[::-1], 2) / asked.side
    regions = jnp.concatenate([places, jnp.stack([found.cropped, found.erased], 1)], 1)
    response = (inside & taken[:, None, None]).sum(0) / taken.sum()
    gain = jnp.maximum(found.cropped - found.erased, 0)[-1]
    return Localization(
        response=response.astype(jnp.float32),
        mask=inside[-1],
        box=found.box * jnp.tile((inputs.image_size / inputs.size)[::-1], 2),
        found=jnp.bool_(True),
        score=gain / (found.cropped[0] + gain),
        positive_share=inside[-1].mean(dtype=jnp.float32),
        label=found.classes[0],
        probability=found.probabilities[0],
        passes=found.passes,
        regions=jnp.where(taken[:, None], regions, jnp.nan),
    )


def beam_search(
    inputs: Inputs, *, width: int, depth: int, heat_threshold: float | None, connectivity: int, backend: Backend
) -> Localization:
    """The object by the heat map of ``beam``."""
    asked = inputs.classifier
    candidates = beam.search(
        asked.map_of,
        jax.vmap(lambda maps: asked.of_map(maps, None)),
        _pixels(inputs),
        lambda probabilities: jnp.arange(len(probabilities)) == _label(inputs, probabilities),
        size=inputs.size,
        side=asked.side,
        beam=width,
        depth=depth,
    )
    heat = beam.heat_map(candidates.boxes, candidates.scores, inputs.size, valid=candidates.valid)
    found = localization.of_peak(
        heat,
        inputs.image_size,
        threshold=_THRESHOLD["beam"] if heat_threshold is None else heat_threshold,
        connectivity=connectivity,
        backend=backend,
    )
    label = _label(inputs, candidates.probabilities)
    return found._replace(label=label, probability=candidates.probabilities[label], passes=candidates.passes)


def _pixels(inputs: Inputs) -> jax.Array:
    return jnp.asarray(inputs.image).astype(jnp.float32) / 255


def _label(inputs: Inputs, probabilities: jax.Array) -> jax.Array:
    """The class to find: the given one, or the most probable, the next and so on."""
    likely = jnp.argsort(-probabilities, stable=True).astype(jnp.int32)
    return jnp.where(inputs.label < 0, likely[-1 - inputs.label], inputs.label)
