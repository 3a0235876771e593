"""The passes over images in memory: fit image sets, and find the object in each image."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxloc.api.batches import ImageBatches
from jaxloc.api.found import FoundObject
from jaxloc.data import Batch
from jaxloc.errors import UsageError
from jaxloc.localization import Localization
from jaxloc.run.localize_pass import not_finite
from jaxloc.run.model_file import ModelFile
from jaxloc.run.moment_store import MomentStore
from jaxloc.run.steps import Models, Steps


def fit_sets(
    batches: ImageBatches,
    steps: Steps,
    names: Sequence[str],
    owners: np.ndarray,
    progress: bool | None,
    *,
    pooled: bool = False,
) -> ModelFile:
    """Sum the moments of each shard, merge them in order, and fit each image set.

    Args:
        batches: the images of all sets.
        steps: of a method that fits.
        names: of the sets.
        owners: int ``[n]``, the set of each image, by its place in ``names``; each set has images.
        progress: see ``jaxloc.colocalize``.
        pooled: the model of the last set is that of the images of all sets.
    """
    total, last = MomentStore(steps.sums), len(names) - 1
    for _, shard in itertools.groupby(batches.features("fitting", progress=progress), lambda one: one.shard):
        sums = MomentStore(steps.sums)
        for _, batch, maps in shard:
            sums.add_rows(*steps.moments(maps, _owners(owners, batch)))
        for which in sums.images:
            total.merge(which, sums.images[which], sums.of_set(which))
    if pooled:
        for which in range(last):
            total.add(last, total.images[which], total.moments(which))
    fits = [steps.fit(total.moments(which)) for which in range(len(names))]
    if steps.needs_evidence:
        evidence = _sum_evidence(batches, steps, [fit.models for fit in fits], owners, progress)
        fits = [steps.orient(fit, seen) for fit, seen in zip(fits, evidence, strict=True)]
    return steps.model_file(dict(zip(names, fits, strict=True)))


def _owners(owners: np.ndarray, batch: Batch) -> np.ndarray:
    return np.where(batch.indices < 0, -1, owners[batch.indices])


def _sum_evidence(
    batches: ImageBatches, steps: Steps, models: Sequence[Models], owners: np.ndarray, progress: bool | None
) -> list[dict[str, Any]]:
    """What the sign rule sees in each whole set, shard by shard: ``[k + 1]`` by layer, the weight last."""
    total: list[dict[str, Any]] = [dict.fromkeys(one, 0) for one in models]
    for _, shard in itertools.groupby(batches.features("choosing the sign", progress=progress), lambda one: one.shard):
        sums: list[dict[str, Any]] = [dict.fromkeys(one, 0) for one in models]
        for _, batch, maps in shard:
            own = _owners(owners, batch)
            for layer, rows in steps.sign_evidence([models[which] for which in own], maps).items():
                for which, row in zip(own[own >= 0], rows[own >= 0].astype(np.float64), strict=True):
                    sums[which][layer] = sums[which][layer] + row
        total = [{layer: one[layer] + some[layer] for layer in one} for one, some in zip(total, sums, strict=True)]
    return total


def localize_each(
    batches: ImageBatches, steps: Steps, models: Sequence[Models | None], progress: bool | None
) -> list[FoundObject]:
    """The objects of each image, in order, by the model of each; ``None`` for methods that fit nothing."""
    found: list[list[FoundObject]] = [[] for _ in range(len(batches.images))]
    for _, batch, maps in batches.features("localizing", progress=progress):
        each = [models[number] for number in batch.indices]
        result, _ = steps.localize(each, maps, batch.original_sizes, batch.images, batch.sizes)
        result, sizes = jax.device_get((result, maps[steps.layers[0]].size if maps else batch.sizes))
        for place, number in enumerate(batch.indices.tolist()):
            if number >= 0:
                image, size = batches.images.names[number], batch.original_sizes[place]
                for rank, one in enumerate(steps.of_image(result, place, sizes[place])):
                    if reason := not_finite(one.response):
                        raise UsageError(f"{batches.images.where(number)}: {reason}")
                    found[number].append(_object(steps, image, size, one, rank))
    return list(itertools.chain.from_iterable(found))


def _object(steps: Steps, image: str, original_size: np.ndarray, one: Localization, rank: int) -> FoundObject:
    found, noisy, share = steps.decide(one)
    further = steps.further(one)
    class_name = further["class_name"]
    response = np.asarray(one.response)
    return FoundObject(
        name=image,
        size=(int(original_size[0]), int(original_size[1])),
        found=found,
        box=tuple(map(float, one.box)) if found else None,  # type: ignore[arg-type]
        score=float(one.score) if found else 0.0,
        mask=np.asarray(one.mask),
        response=response,
        threshold=steps.method.threshold(response),
        positive_share=share,
        noisy=noisy,
        category="" if class_name is None or steps.label >= 0 else class_name,
        rank=rank,
        **further,
    )
