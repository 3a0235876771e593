"""A projection fitted to frozen feature maps of identities."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxloc import _interrupts, losses
from jaxloc._jit import standard_promotion
from jaxloc.errors import UsageError
from jaxloc.models.projection import HEADS, Projection, without_classifiers
from jaxloc.models.rnn_ha import Identified
from jaxloc.models.training import Tally, TrainState
from jaxloc.options.reid import GROUP, ReidOptions
from jaxloc.report.text import counted
from jaxloc.run.frozen import FrozenMaps, chunks
from jaxloc.run.loop import Figures, Loop, head_loop
from jaxloc.run.retrieval.scoring import score
from jaxloc.run.sampling import Groups, shuffled_batch
from jaxloc.run.training_checkpoints import Checkpoints

CLASSIFIES, KNOWS_KINDS = ("rnn-ha", "rnn-h", "fc-ha"), ("rnn-ha", "rnn-h", "fc-ha", "mixed")
"""Methods that classify identities, the others compare distances; and methods that learn kinds."""

_HELD_OUT, _DRAWN = 0, 1
_ENOUGH, _AT_ONCE = 20, 256


def fit(
    maps: FrozenMaps,
    identities: np.ndarray,
    kinds: np.ndarray,
    options: ReidOptions,
    *,
    checkpoints: Checkpoints,
    settings: Mapping[str, Any],
) -> tuple[Projection, Loop]:
    """Learn a projection by the method of the options; resumes from a checkpoint.

    Args:
        maps: of the images; those without a valid cell are left out.
        identities: int ``[n]``.
        kinds: int ``[n]``, the kind of each identity; -1 where it is unknown.
        options: method, steps and so on.
        checkpoints: of this training.
        settings: what else the result depends on, as JSON values.
    """
    method, usable = options.method, maps.sizes.any(1)
    held_out = usable & np.isin(identities, _held_out(identities[usable], options))
    seen = np.flatnonzero(usable & ~held_out)
    names, targets = np.unique(identities[seen], return_inverse=True)
    if len(names) < 2:
        raise UsageError(
            f"there are usable images of {counted(len(names), 'identity')}, and telling them apart needs two"
        )
    of_kinds = np.unique(kinds[seen][kinds[seen] >= 0])
    coarse = np.where(kinds[seen] >= 0, np.searchsorted(of_kinds, kinds[seen]), -1)
    if not len(of_kinds) and method in KNOWS_KINDS:
        raise UsageError(
            f"{method} learns the kinds of identities, and none is known: put the folders of identities into "
            "folders of their kinds, name a COCO file with `coarse` or `supercategory`, or use --method ccl or triplet"
        )
    counts = {"kinds": len(of_kinds) if method in KNOWS_KINDS else 0}
    counts |= {"identities": len(names)} if method in CLASSIFIES else {}
    head, bare = HEADS[method](hidden=options.hidden, **counts), HEADS[method](hidden=options.hidden)
    form = _centre_and_scale(maps, seen)

    def batch_of(places: np.ndarray) -> tuple[np.ndarray, ...]:
        images = seen[places]
        return maps.features[images], maps.sizes[images], coarse[places], targets[places]

    judge: Callable[..., tuple[jax.Array, Tally]]
    if method in CLASSIFIES:
        judge = _classify

        def draw(number: int) -> tuple[np.ndarray, ...]:
            return batch_of(
                shuffled_batch(range(len(seen)), options.step_images, number, seed=options.seed, stream=_DRAWN)
            )

    else:
        judge = functools.partial(_compare, method=method, margin=options.margin)
        sizes = {"positives": GROUP, "negatives": GROUP}
        groups = Groups(targets, coarse=coarse, seed=options.seed, stream=_DRAWN, **sizes)
        each = options.step_images // (2 * GROUP)

        def draw(number: int) -> tuple[np.ndarray, ...]:
            drawn = [groups.draw(each * number + one) for one in range(each)]
            return batch_of(np.concatenate([np.concatenate(one) for one in drawn]))

    def loss(
        learnt: Any,
        form: tuple[jax.Array, jax.Array],
        features: jax.Array,
        sizes: jax.Array,
        kinds: jax.Array,
        identities: jax.Array,
    ) -> tuple[jax.Array, Tally]:
        return judge(jax.vmap(Projection(learnt, *form, head).look)(features, sizes), kinds, identities)

    def validate(state: TrainState) -> Figures:
        learnt = Projection(without_classifiers(state.trained), *form, bare)
        images = np.flatnonzero(held_out)
        found = vectors(learnt, FrozenMaps(maps.features, maps.sizes), images)
        scored = score(found, identities[images], found, identities[images], same=np.arange(len(images))).mean
        return {"quality": scored.ap_step / 100, "validation_top1": scored.recalls[0] / 100}

    example = maps.features[seen[0]], maps.sizes[seen[0]]
    with standard_promotion():
        params = jax.jit(head.init)(jax.random.key(options.seed), *example)["params"]
    loop = head_loop(
        params,
        loss,
        draw,
        steps=options.steps,
        every=options.validation_steps,
        checkpoints=checkpoints,
        settings=settings,
        fixed=form,
        validate=validate if held_out.any() else None,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        purpose=f"learning {method}",
    )
    return Projection(without_classifiers(loop.run()), *form, bare), loop


def vectors(projection: Projection, maps: FrozenMaps, images: np.ndarray) -> np.ndarray:
    """Vectors of images by number, float32 ``[n, k]``."""
    found = []
    for some, padded in chunks(images, min(_AT_ONCE, len(images))):
        found.append(np.asarray(_vectors(projection, maps.features[padded], maps.sizes[padded]))[: len(some)])
        _interrupts.check()
    return np.concatenate(found)


@jax.jit
def _vectors(projection: Projection, features: jax.Array, sizes: jax.Array) -> jax.Array:
    return jax.vmap(projection.look)(features, sizes).vector


def _held_out(identities: np.ndarray, options: ReidOptions) -> np.ndarray:
    """Identities that are held out for validation; none if there are few."""
    names = np.unique(identities)
    count = math.ceil(options.validation_share * len(names)) if len(names) >= _ENOUGH else 0
    return np.random.default_rng([options.seed, _HELD_OUT]).permutation(names)[:count]


def _centre_and_scale(maps: FrozenMaps, images: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Mean of the descriptors of images, and the root of their mean square around it; padding is zero."""
    dimension = maps.features.shape[-1]
    count = maps.sizes[images].prod(1, dtype=np.int64).sum()
    total, squares = np.zeros(dimension), 0.0
    for image in images:
        descriptors = maps.features[image].reshape(-1, dimension).astype(np.float64)
        total += descriptors.sum(0)
        squares += float(np.square(descriptors).sum())
    centre = total / count
    spread = squares / count - np.square(centre).sum()
    return centre.astype(np.float32), np.float32(math.sqrt(max(spread, 0) / dimension) or 1.0)


def _classify(found: Identified, kinds: jax.Array, identities: jax.Array) -> tuple[jax.Array, Tally]:
    """Cross entropy of the kind and of the identity; RNN-HA's equation 5."""
    each = _of_kinds(found, kinds) + optax.softmax_cross_entropy_with_integer_labels(found.identity, identities)
    hits = (found.identity.argmax(1) == identities).sum()  # type: ignore[union-attr]
    return each.mean(), Tally(each.sum(), hits, jnp.int32(len(identities)))


def _of_kinds(found: Identified, kinds: jax.Array) -> jax.Array:
    """Cross entropy of the kind of each image, 0 where it is unknown."""
    each = optax.softmax_cross_entropy_with_integer_labels(found.kind, jnp.maximum(kinds, 0))
    return jnp.where(kinds >= 0, each, 0)


def _compare(
    found: Identified, kinds: jax.Array, identities: jax.Array, *, method: str, margin: float
) -> tuple[jax.Array, Tally]:
    """Distances within groups; of the mixed network also the cross entropy of the kind."""
    positives, negatives = jnp.split(found.vector.reshape(-1, 2 * GROUP, found.vector.shape[1]), 2, axis=1)
    if method == "triplet":
        each = jax.vmap(functools.partial(losses.triplets, margin=margin))(
            positives, jnp.roll(positives, 1, axis=1), negatives
        )
    else:
        each = jax.vmap(functools.partial(losses.coupled_clusters, margin=margin))(positives, negatives)
    centre = positives.mean(1, keepdims=True)
    near, far = (jnp.square(some - centre).sum(2) for some in (positives, negatives))
    count = jnp.int32(near.size)
    loss = each.sum() / count
    if found.kind is not None:
        loss += _of_kinds(found, kinds).mean()
    return loss, Tally(loss * count, (near < far.min(1, keepdims=True)).sum(), count)
