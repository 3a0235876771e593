"""The methods that ask a classifier, on one image of a job: ``cam``, ``eiss`` and ``beam`` behind one form."""

import jax
import jax.numpy as jnp

from jaxloc import beam, cam, crops, eiss, localization
from jaxloc.components import Backend
from jaxloc.localization import Localization
from jaxloc.localizers import Inputs

_BEAM_THRESHOLD = 0.4
_GRID = (56, 56)  # that EISS's regions are shown on


def class_map(inputs: Inputs, *, heat_threshold: float | None, connectivity: int, backend: Backend) -> Localization:
    """The object by the class map of ``cam``."""
    (features, size), asked = inputs.maps[0], inputs.classifier
    probabilities = asked.of_map(features, size)
    label = _label(inputs, probabilities)
    cells = cam.activation_map(features, asked.kernel[:, label]) + asked.bias[label]
    found = localization.of_peak(
        cells, inputs.image_size, threshold=heat_threshold, size=size, connectivity=connectivity, backend=backend
    )
    return found._replace(label=label, probability=probabilities[label])


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
        classes=jnp.broadcast_to(inputs.label, (classes_kept,)),  # a class again and again changes no comparison
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
    response = (inside & taken[:, None, None]).sum(0) / taken.sum()
    gain = jnp.maximum(found.cropped - found.erased, 0)[-1]
    return Localization(
        response=response.astype(jnp.float32),
        mask=inside[-1],
        box=found.box * _to_original(inputs),
        found=jnp.bool_(True),
        score=gain / (found.cropped[0] + gain),
        positive_share=inside[-1].mean(dtype=jnp.float32),
        label=found.classes[0],
        probability=found.probabilities[0],
    )


def beam_search(
    inputs: Inputs, *, width: int, depth: int, heat_threshold: float | None, connectivity: int, backend: Backend
) -> Localization:
    """The object by the heat map of ``beam``."""
    asked, image = inputs.classifier, _pixels(inputs)
    whole = crops.crop_resize(image, jnp.full(4, jnp.nan), (asked.side, asked.side), size=inputs.size)
    probabilities = asked.of_images(whole[None])[0]
    label = _label(inputs, probabilities)
    candidates = beam.search(
        asked.map_of,
        jax.vmap(lambda maps: asked.of_map(maps, None)),
        image,
        jnp.arange(len(probabilities)) == label,
        size=inputs.size,
        side=asked.side,
        beam=width,
        depth=depth,
    )
    heat = beam.heat_map(candidates.boxes, candidates.scores, inputs.size, valid=candidates.valid)
    found = localization.of_peak(
        heat,
        inputs.image_size,
        threshold=_BEAM_THRESHOLD if heat_threshold is None else heat_threshold,
        connectivity=connectivity,
        backend=backend,
    )
    return found._replace(label=label, probability=probabilities[label])


def _pixels(inputs: Inputs) -> jax.Array:
    return jnp.asarray(inputs.image).astype(jnp.float32) / 255


def _label(inputs: Inputs, probabilities: jax.Array) -> jax.Array:
    """The class to find: the given one, or the most probable."""
    return jnp.where(inputs.label < 0, probabilities.argmax().astype(jnp.int32), inputs.label)


def _to_original(inputs: Inputs) -> jax.Array:
    """Factors of a box from pixels of the image that the network saw to those of the original."""
    return jnp.tile((inputs.image_size / inputs.size)[::-1], 2)
