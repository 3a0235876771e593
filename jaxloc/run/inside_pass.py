"""Parts by components of the object's own cells: moments of the cells inside each object, fitted set by set."""

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxloc.run import distributed
from jaxloc.run.moment_store import MomentStore, StoredMoments
from jaxloc.run.passes import Context, mine, over_shards, shard_features
from jaxloc.run.plan import Shard, Window
from jaxloc.run.progress import Progress, progress
from jaxloc.run.steps import INSIDE, Models


def fit_inside(context: Context, window: Window, models: Mapping[int, Models]) -> dict[int, Models]:
    """The models of a window's sets and, under ``INSIDE``, one whose further components are of the object's cells.

    The moments of each shard are kept until the run ends, and every host fits them alike.
    """
    with progress("summing the objects' cells", sum(len(shard.images) for shard in mine(window))) as shown:
        over_shards(context, window, "inside", functools.partial(_sum, context, models=models, shown=shown), shown)
    distributed.wait(f"the objects' cells of window {window.number}")
    together = MomentStore((INSIDE,))
    for shard in window.shards:
        some = StoredMoments(distributed.see(context.checkpoint.file("inside", shard.number)))
        for which in sorted(some.images):
            together.merge(which, some.images[which], some.of_set(which))
    return {
        which: {**models[which], INSIDE: context.steps.fit_inside(models[which], together.moments(which)[INSIDE])}
        for which in models
        if which in together.images
    }


def _sum(context: Context, shard: Shard, path: Path, *, models: Mapping[int, Models], shown: Progress) -> None:
    store = MomentStore((INSIDE,))
    for batch in shard_features(context, shard, "summing the objects' cells", shown):
        owners = context.owners(batch.indices)
        each = [models.get(which) for which in owners.tolist()]
        if any(each):
            owners = np.where([one is None for one in each], -1, owners)
            store.add_rows(*context.steps.inside_moments(each, batch.maps, owners))
    if shard.number not in context.cache:
        context.stream.forget(shard.images)
    context.cache.make_room(lambda: store.save(path))
