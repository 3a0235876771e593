"""EISS: find the object of an image by asking a classifier about regions cropped and regions erased.

The classifier is a function ``score_fn``, so any network can be asked.
The image is seen through a square canvas, the classifier's input. Windows are laid over the current region; the crops
that keep the class and the erasures that lose it bound the next region, until cropping gains nothing over erasing.

Settled where the paper is silent: the window's side is ``alpha`` times the region's; windows lie in the current region
and shrink with it; the best erasures are those that lower the score most; ``eta`` is a percentage of the image's own
score; crops are taken from the original image and warped to the canvas. Where a region stays as it was, its windows go
on shrinking.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted, standard_promotion
from jaxloc._sharding import compiler_chooses, varying_as
from jaxloc.crops import crop_resize
from jaxloc.grids import map_size

_WINDOWS = 16  # of each call of the classifier, at most: each is scored twice


class Search(NamedTuple):
    """The search of one image; ``T`` is ``max_iterations``.

    Attributes:
        box: float32 ``[4]``, ``x0, y0, x1, y1`` in pixels of the image: the last region.
        regions: int32 ``[T + 1, 4]``, region after each iteration in pixels of the canvas; row 0 is the whole canvas,
            and rows after the last iteration repeat it.
        cropped: float32 ``[T + 1]``, score of each region cropped.
        erased: float32 ``[T + 1]``, score of the canvas with each region erased.
        iterations: int32 ``[]``, taken.
        converged: bool ``[]``, whether the stopping rule was met.
        classes: int32 ``[k]``, searched for.
        probabilities: float32 ``[k]``, of these classes for the whole image.
        passes: int32 ``[]``, images that the search needed scores of.
    """

    box: jax.Array
    regions: jax.Array
    cropped: jax.Array
    erased: jax.Array
    iterations: jax.Array
    converged: jax.Array
    classes: jax.Array
    probabilities: jax.Array
    passes: jax.Array


class _State(NamedTuple):
    """What is known between two calls of the classifier."""

    found: Search
    region: jax.Array
    sides: jax.Array  # of the windows in it
    first: jax.Array  # number of the first window of the next call
    gains: jax.Array  # [2, best], of the best crops and the best erasures of the region
    places: jax.Array  # [2, best, 4]
    stopped: jax.Array


@jitted("fill")
def erase(image: ArrayLike, box: ArrayLike, *, fill: float = 0.0) -> jax.Array:
    """The image with the pixels of a box replaced.

    Args:
        image: ``[h, w, channels]``.
        box: int ``[4]``, ``x0, y0, x1, y1``, half-open.
        fill: value of the pixels in it.
    """
    image, box = as_array("image", image, "[h, w, channels]"), as_array("box", box, "[4]")
    y, x = jnp.arange(image.shape[0])[:, None], jnp.arange(image.shape[1])[None]
    inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    return jnp.where(inside[..., None], jnp.asarray(fill, image.dtype), image)


@standard_promotion()
@compiler_chooses()
def search(
    score_fn: Callable[[jax.Array], jax.Array],
    image: ArrayLike,
    *,
    size: ArrayLike | None = None,
    side: int = 224,
    classes: ArrayLike | None = None,
    k: int = 1,
    alpha: float = 0.8,
    eta: float = 10.0,
    best: int = 5,
    grid: int | None = None,
    samples: int | None = None,
    key: jax.Array | None = None,
    fill: float = 0.0,
    max_iterations: int = 30,
) -> Search:
    """Search one image.

    The score of an image is ``s(x) = ⟨p(x), r⟩`` over the classes, with ``r`` their probabilities for the whole image.
    The next region bounds the ``best`` windows whose crops score highest and the ``best`` whose erasures score lowest;
    ties go to the first in raster order. The search stops where the cropped region scores less than ``eta`` percent of
    ``⟨r, r⟩`` above the erased one. ``score_fn`` is traced once; batches by ``jax.vmap``. To automatic differentiation
    all that is found is constant.

    Args:
        score_fn: from images ``[n, side, side, 3]`` in [0, 1] to probabilities ``[n, classes]``; preprocessing belongs
            to it (static).
        image: ``[h, w, 3]`` in [0, 1].
        size: int ``[2]``, valid rows and columns of ``image``; ``None`` means all.
        side: of the canvas in pixels (static).
        classes: int ``[k]``, classes to search for, of which -1 stands for the most probable one, -2 for the next and
            so on; ``None`` means the most probable ones.
        k: number of most probable classes where ``classes`` is ``None`` (static).
        alpha: side of a window as a share of the region's.
        eta: stopping rule, in percent of the score of the whole image.
        best: number of windows that bound the next region, of crops and of erasures each (static).
        grid: windows along each axis at most, evenly spaced; ``None`` means one at every pixel, as in the paper
            (static).
        samples: number of random windows of each iteration, instead of a grid (static).
        key: of the random windows; iteration ``t`` draws from ``jax.random.fold_in(key, t)``, counted from 1.
        fill: value of erased pixels.
        max_iterations: most iterations (static).

    Raises:
        ValueError: ``image`` is not one RGB image, ``grid`` and ``samples`` together, or ``samples`` without ``key``.
    """
    image = jax.lax.stop_gradient(as_array("image", image, "[h, w, 3]", jnp.float32))
    wanted = -1 - jnp.arange(k, dtype=jnp.int32) if classes is None else as_array("classes", classes, "[k]", jnp.int32)
    if samples is not None and (grid is not None or key is None):
        raise ValueError("samples draws random windows: it needs key, and stands instead of grid")
    most = samples or (grid or side) ** 2
    width = math.ceil(most / math.ceil(most / _WINDOWS))
    scale = jnp.tile(map_size(size, image.shape[:2])[::-1].astype(jnp.float32) / side, 2)
    whole = jnp.array([0, 0, side, side], jnp.int32)
    canvas = crop_resize(image, jnp.full(4, jnp.nan), (side, side), size=size)

    def crop(box: jax.Array) -> jax.Array:
        return crop_resize(image, box.astype(jnp.float32) * scale, (side, side), size=size)

    def shrunk(sides: jax.Array) -> jax.Array:
        # The small term makes float32 and float64 agree.
        return jnp.maximum(jnp.floor(sides * jnp.float32(alpha) + 1e-3).astype(jnp.int32), 1)

    def windows(state: _State) -> tuple[jax.Array, jax.Array]:
        """The windows of the next call, int32 ``[width, 4]``, and the number of all windows of the region."""
        slack = state.region[2:] - state.region[:2] - state.sides
        index = state.first + jnp.arange(width, dtype=jnp.int32)
        if samples is not None and key is not None:
            drawn = jax.random.fold_in(key, state.found.iterations + 1)
            offsets = jax.random.randint(drawn, (samples, 2), 0, slack + 1, jnp.int32)[jnp.minimum(index, samples - 1)]
            count = jnp.int32(samples)
        else:
            number = slack + 1 if grid is None else jnp.minimum(grid, slack + 1)
            place = jnp.stack([index % number[0], index // number[0]], 1)
            offsets = (2 * place * slack + number - 1) // (2 * jnp.maximum(number - 1, 1))
            count = number[0] * number[1]
        low = state.region[:2] + offsets
        return jnp.concatenate([low, low + state.sides], 1), count

    def scored(found: Search, region: jax.Array, probabilities: jax.Array) -> Search:
        """The search with the probabilities of its region, cropped and erased ``[2, classes]``, entered."""
        beginning = found.iterations == 0
        likely = jnp.argsort(-probabilities[0], stable=True).astype(jnp.int32)[-1 - wanted]
        asked = jnp.where(beginning, jnp.where(wanted < 0, likely, wanted), found.classes)
        reference = jnp.where(beginning, probabilities[0, asked], found.probabilities)
        cropped, erased = (probabilities[:, asked] * reference).sum(1)
        later = jnp.arange(max_iterations + 1) >= found.iterations
        cropped_scores = jnp.where(later, cropped, found.cropped)
        return found._replace(
            box=region.astype(jnp.float32) * scale,
            regions=jnp.where(later[:, None], region, found.regions),
            cropped=cropped_scores,
            erased=jnp.where(later, erased, found.erased),
            converged=~beginning & (cropped - erased < eta / 100 * cropped_scores[0]),
            classes=asked,
            probabilities=reference,
        )

    def turn(state: _State) -> _State:
        """One call of the classifier: some windows, and the region itself, whose scores the first call enters."""
        boxes, count = windows(state)
        asked = jnp.concatenate([state.region[None], boxes])
        erased = jax.vmap(lambda box: erase(canvas, box, fill=fill))(asked)
        probabilities = score_fn(jnp.concatenate([jax.vmap(crop)(asked), erased])).astype(jnp.float32)
        probabilities = probabilities.reshape(2, width + 1, -1)
        entered = scored(state.found, state.region, probabilities[:, 0])
        found = jax.tree.map(lambda new, old: jnp.where(state.first == 0, new, old), entered, state.found)
        exhausted = (found.iterations >= max_iterations) | (state.region[2:] - state.region[:2] <= 1).all()

        cropped, erased = (probabilities[:, 1:, found.classes] * found.probabilities).sum(2)
        valid = state.first + jnp.arange(width) < count
        gains = jnp.where(valid, jnp.stack([cropped, -erased]), -jnp.inf)
        gains, at = jax.lax.top_k(jnp.concatenate([state.gains, gains], 1), best)
        places = jnp.concatenate([state.places, jnp.broadcast_to(boxes, (2, width, 4))], 1)
        places = jnp.take_along_axis(places, at[..., None], 1)
        chosen = jnp.isfinite(gains)[..., None]
        low = jnp.where(chosen, places[..., :2], side).min((0, 1))
        high = jnp.where(chosen, places[..., 2:], 0).max((0, 1))
        union = jnp.concatenate([low, high])
        stalled = (union == state.region).all()

        more = state._replace(found=found, first=state.first + width, gains=gains, places=places)
        more = more._replace(stopped=found.converged | exhausted)
        ended = start._replace(
            found=found._replace(iterations=found.iterations + 1, passes=found.passes + 2 * count + 2),
            region=union,
            sides=shrunk(jnp.where(stalled, state.sides, high - low)),
        )
        done = (more.first >= count) & ~more.stopped
        return jax.tree.map(lambda then, now: jnp.where(done, then, now), ended, more)

    rows = max_iterations + 1
    none = jnp.zeros(rows, jnp.float32)
    start = _State(
        found=Search(
            box=whole.astype(jnp.float32) * scale,
            regions=jnp.zeros((rows, 4), jnp.int32),
            cropped=none,
            erased=none,
            iterations=jnp.int32(0),
            converged=jnp.bool_(False),
            classes=jnp.zeros_like(wanted),
            probabilities=jnp.zeros(wanted.shape, jnp.float32),
            passes=jnp.int32(2),
        ),
        region=whole,
        sides=shrunk(whole[2:]),
        first=jnp.int32(0),
        gains=jnp.full((2, best), -jnp.inf, jnp.float32),
        places=jnp.zeros((2, best, 4), jnp.int32),
        stopped=jnp.bool_(False),
    )
    return jax.lax.while_loop(lambda state: ~state.stopped, turn, varying_as(image, start)).found
