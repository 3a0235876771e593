"""Fitting: sum the moments of each shard's descriptors, merge them, and fit each image set."""

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxloc.data import Batch
from jaxloc.inference import memory
from jaxloc.run import distributed, model_file, moment_store
from jaxloc.run.model_file import FittedSet
from jaxloc.run.moment_store import MomentStore, StoredMoments
from jaxloc.run.passes import Context, in_flight, mine, over_shards, shard_features
from jaxloc.run.plan import Shard, Window
from jaxloc.run.progress import Progress, progress
from jaxloc.run.steps import Models

MINIMUM_SET = 2
"""Images that a set must have for anything to be shared."""

Fits = Mapping[str, FittedSet]


def fit_window(context: Context, window: Window, start: Fits, shown: Progress) -> dict[int, Models]:
    """Fit every set of a window, added to the moments of fits ``start``, or read the fits if they exist.

    Returns:
        models by the set's number, on the host; sets of fewer than two images have none.
    """
    path, fits = context.checkpoint.file("fitted", window.number), None
    if not path.exists():
        fits = _accumulate_and_fit(context, window, path, start, shown)
        memory.release()
    numbers = {context.images.sets[which].name: which for which in window.sets}
    fits = load_fits(distributed.see(path)) if fits is None else fits
    return {numbers[name]: fit.models for name, fit in fits.items()}


def load_fits(path: Path) -> Fits:
    """Open the fits of a window's sets; ``UsageError`` if the file is damaged, also later, when a set is read."""
    return model_file.load(path, cure="delete it and run the same command again").sets


def _accumulate_and_fit(context: Context, window: Window, path: Path, start: Fits, shown: Progress) -> Fits | None:
    """Write the fits; returns them on the host that has them in memory."""
    file, number = context.checkpoint.file, window.number
    second_pass = context.steps.needs_evidence
    first = file("unsigned", number) if second_pass else path
    fits: Fits | None = None
    over_shards(context, window, "moments", functools.partial(_sum_moments, context, shown=shown), shown)
    distributed.wait(f"moments of window {number}")
    if distributed.is_first() and not first.exists():
        fits = dict(_fit_sets(context, window, start))
        _save(context, first, fits)
    distributed.wait(f"fits of window {number}")
    if second_pass:  # the moments stay on disk meanwhile
        fits = _fix_signs(context, window, path, load_fits(distributed.see(first)))
    if distributed.is_first():  # nothing needs these any more
        file("unsigned", number).unlink(missing_ok=True)
        for shard in window.shards:
            file("moments", shard.number).unlink(missing_ok=True)
            file("evidence", shard.number).unlink(missing_ok=True)
    return fits


def _save(context: Context, path: Path, fits: Fits) -> None:
    context.cache.make_room(lambda: model_file.save(path, context.steps.model_file(fits)))


def _sum_moments(context: Context, shard: Shard, path: Path, *, shown: Progress) -> None:
    steps, cache = context.steps, context.cache
    store = MomentStore(steps.sums)
    cached = True

    def launch(batch: Batch) -> tuple[Any, ...]:
        maps = steps.features(batch)
        owners = np.minimum(context.owners(batch.indices), context.first_pooled)
        moments, rows = steps.moments(maps, owners)
        shown.busy.sent(moments)
        return batch, maps, moments, rows

    batches = context.stream.batches("fitting", only=shard.images, bar=shown)
    for batch, maps, moments, rows in in_flight(batches, launch):
        store.add_rows(moments, rows)
        cached = cached and cache.put(batch, maps, shard.number)
    cache.make_room(lambda: store.save(path))
    if not cached:
        cache.forget(shard.number)
        context.stream.forget(shard.images)


def _fit_sets(context: Context, window: Window, start: Fits) -> Iterator[tuple[str, FittedSet]]:
    """Each set's fit, from the moments of all hosts in the order of the shards."""
    together = MomentStore(context.steps.sums)
    pooled = range(max(window.sets.start, context.first_pooled), window.sets.stop)
    every = _sum_earlier(context, window) if pooled else None

    def complete(before: int) -> Iterator[tuple[str, FittedSet]]:
        """The sets that no later shard adds to."""
        for which in sorted(which for which in together.images if which < before):
            name = context.images.sets[which].name
            if every is not None:
                every.add(0, together.images[which], together.moments(which))
            fit = None if which in pooled else _fit(context, together, which, start.get(name))
            together.drop(which)
            if fit is not None:
                yield name, fit

    for shard in window.shards:
        some = StoredMoments(distributed.see(context.checkpoint.file("moments", shard.number)))
        for which in sorted(some.images):
            yield from complete(which)
            together.merge(which, some.images[which], some.of_set(which))
    yield from complete(window.sets.stop)
    if every is not None and (fit := _fit(context, every, 0, None)) is not None:
        yield from ((context.images.sets[which].name, fit) for which in pooled)


def _sum_earlier(context: Context, window: Window) -> MomentStore:
    """The moments of all sets of the windows before this one, as one set."""
    every = MomentStore(context.steps.sums)
    every.images[0] = 0
    for number in range(window.number):
        for fit in load_fits(distributed.see(context.checkpoint.file("fitted", number))).values():
            every.add(0, MINIMUM_SET, fit.moments)
    return every


def _fit(context: Context, together: MomentStore, which: int, start: FittedSet | None) -> FittedSet | None:
    if start is None and together.images[which] < MINIMUM_SET:
        return None
    moments = together.moments(which)
    if start is not None:
        both = MomentStore(context.steps.sums)
        both.add(which, 0, start.moments)
        both.add(which, 0, moments)
        moments = both.moments(which)
    return context.steps.fit(moments)


def _fix_signs(context: Context, window: Window, path: Path, fits: Fits) -> Fits | None:
    """Fix the signs by what the rule sees in the images, and write the fits."""
    names = {which: context.images.sets[which].name for which in window.sets}
    models = {which: fits[name].models for which, name in names.items() if name in fits}
    with progress("choosing the sign", sum(len(shard.images) for shard in mine(window))) as shown:
        add = functools.partial(_sum_evidence, context, models=models, shown=shown)
        over_shards(context, window, "evidence", add, shown)
    distributed.wait(f"signs of window {window.number}")
    if not distributed.is_first():
        return None
    totals: dict[int, dict[str, Any]] = {which: dict.fromkeys(context.steps.layers, 0) for which in models}
    for shard in window.shards:
        stored = context.checkpoint.file("evidence", shard.number)
        for (which, layer), some in moment_store.load_evidence(distributed.see(stored)).items():
            totals[which][layer] = totals[which][layer] + some
    oriented = {names[which]: context.steps.orient(fits[names[which]], totals[which]) for which in models}
    _save(context, path, oriented)
    return oriented


def _sum_evidence(context: Context, shard: Shard, path: Path, *, models: Mapping[int, Models], shown: Progress) -> None:
    sums: dict[tuple[int, str], np.ndarray] = {}
    for batch in shard_features(context, shard, "choosing the sign", shown):
        each = context.owners(batch.indices).tolist()
        some = [models.get(which) for which in each]
        if not any(some):
            continue
        for layer, rows in context.steps.sign_evidence(some, batch.maps).items():
            for which, row in zip(each, rows, strict=True):
                if which in models:
                    sums[which, layer] = sums.get((which, layer), 0) + row.astype(np.float64)
    if shard.number not in context.cache:
        context.stream.forget(shard.images)
    context.cache.make_room(lambda: moment_store.save_evidence(path, sums))
