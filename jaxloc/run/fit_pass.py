"""The first pass over image sets: the moments of their descriptors, and DDT from them."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxloc import _interrupts, ddt
from jaxloc.data import Batch, ImageSet
from jaxloc.errors import PlaceError
from jaxloc.inference import memory
from jaxloc.moments import Accumulator
from jaxloc.run import distributed, model_file, moment_store
from jaxloc.run.checkpoint import Parts, load_fits, partial
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.model_file import FittedSet, ModelFile
from jaxloc.run.moment_store import StoredSums, Sums
from jaxloc.run.passes import STOPS, in_flight, owners, shard_features
from jaxloc.run.plan import Images, Shard, Window
from jaxloc.run.progress import Progress, progress
from jaxloc.run.steps import Models, Steps
from jaxloc.run.steps import fit as fit_layer
from jaxloc.run.stream import Stream

MINIMUM_SET = 2
"""Images that a set must have for anything to be shared."""


@dataclasses.dataclass
class Fitter:
    """Fits DDT to a run's sets, window by window.

    Attributes:
        images: of the run.
        stream: reads them.
        engine: the compiled steps.
        sign: one of the rules in ``Options.sign``; ``"minority"`` takes a further pass over the features.
        components: that each fit keeps.
        parts: where what is done is kept.
        cache: where features are kept for the next pass.
        start: earlier fits by set, whose moments are added to.
        as_file: makes a model file of fits by set.
    """

    images: Images
    stream: Stream
    engine: Steps
    sign: str
    components: int
    parts: Parts
    cache: FeatureCache
    start: Mapping[str, FittedSet]
    as_file: Callable[[Mapping[str, FittedSet]], ModelFile]

    def fit_window(self, window: Window, shown: Progress) -> dict[int, Models]:
        """Fit every set of a window, or read the fits where that is done.

        Returns:
            models by the set's number, on the host; sets of fewer than two images have none.
        """
        path = self.parts.fitted(window.number)
        if not path.exists():
            for shard in distributed.mine(window.shards):
                self._add_shard(shard, shown)
            distributed.wait(f"moments of window {window.number}")
            first = self.parts.unsigned(window.number) if self.sign == "minority" else path
            if distributed.is_first() and not first.exists():
                self._save_fits(first, dict(self._fit_sets(window)))
            distributed.wait(f"fits of window {window.number}")
            if self.sign == "minority":
                self._orient_by_minority(window, path, load_fits(distributed.see(first)).sets)
            if distributed.is_first():
                for used in self._used(window):
                    used.unlink(missing_ok=True)
            memory.release()
        numbers = {self.images.sets[which].name: which for which in window.sets}
        fitted = load_fits(distributed.see(path)).sets
        return {numbers[name]: fit.models for name, fit in fitted.items()}

    def _used(self, window: Window) -> Iterator[Path]:
        """The parts that nobody needs once a window is fitted."""
        yield self.parts.unsigned(window.number)
        for shard in window.shards:
            yield self.parts.sums(shard.number)
            yield self.parts.counts(shard.number)

    def _add_shard(self, shard: Shard, shown: Progress) -> None:
        """Sum the moments of a shard, and write them, unless that is done."""
        path = self.parts.sums(shard.number)
        if path.exists():
            shown.skip(len(shard.images))
            return
        kept = moment_store.load(partial(path)) if partial(path).exists() else Sums(self.engine.layers)
        done = set(kept.summed)
        keep = not done

        def launch(batch: Batch) -> tuple[Any, ...]:
            which = owners(self.images, batch.indices)
            which[np.isin(batch.indices, list(done))] = -1
            if (which < 0).all():
                return batch, None, None, ()
            maps = self.engine.features(batch)
            moments, rows = self.engine.moments(maps, which)
            shown.busy.sent(moments)
            return batch, maps, moments, rows

        stream = self.stream.batches("fitting", only=shard.images, bar=shown)
        try:
            for batch, maps, moments, rows in in_flight(stream, launch):
                if maps is None:
                    continue
                several = moment_store.split(moments, [row for row, _, _ in rows])
                for (_, which, images), one in zip(rows, several, strict=True):
                    kept.add(which, images, one)
                kept.summed += [number for number in batch.indices.tolist() if number >= 0 and number not in done]
                keep = keep and self.cache.put(batch, maps, shard.number)
        except (*STOPS, PlaceError):
            self.cache.make_room(lambda: kept.save(partial(path), whole=False))
            raise
        self.cache.make_room(lambda: kept.save(path))
        partial(path).unlink(missing_ok=True)
        if not keep:
            self.cache.forget(shard.number)
            self.stream.forget(shard.images)

    def _fit_sets(self, window: Window) -> Iterator[tuple[str, FittedSet]]:
        """Each set's fit, from the parts of all hosts in the order of the shards."""
        together = Sums(self.engine.layers)

        def complete(before: int) -> Iterator[tuple[str, FittedSet]]:
            """The sets that no later shard adds to."""
            for which in [which for which in together.sets if which < before]:
                _interrupts.check()
                name = self.images.sets[which].name
                fit = self._fit(name, together, which)
                together.drop(which)
                if fit is not None:
                    yield name, fit

        for shard in window.shards:
            some = StoredSums(distributed.see(self.parts.sums(shard.number)))
            for which in some.sets:
                yield from complete(which)
                together.merge(which, some.images[which], some.of_set(which))
        yield from complete(window.sets.stop)

    def _fit(self, name: str, together: Sums, which: int) -> FittedSet | None:
        start = self.start.get(name)
        if start is None and together.images[which] < MINIMUM_SET:
            return None
        moments = together.moments(which)
        if start is not None:
            for layer, values in start.moments.items():
                whole = Accumulator(len(values.mean))
                whole.add(values)
                whole.add(moments[layer])
                moments[layer] = whole.moments()
        rule: ddt.Sign = "loading" if self.sign == "loading" else "none" if self.sign == "none" else "aggregation"
        models = {layer: fit_layer(values, sign=rule, components=self.components) for layer, values in moments.items()}
        return FittedSet(*jax.device_get((models, moments)))

    def _orient_by_minority(self, window: Window, path: Path, fitted: Mapping[str, FittedSet]) -> None:
        """Turn each component that is positive on most cells of its set, and write the fits."""
        models = {which: fitted[images.name].models for which, images in self._named(window) if images.name in fitted}
        mine = distributed.mine(window.shards)
        with progress("choosing the sign", sum(len(shard.images) for shard in mine)) as shown:
            for shard in mine:
                counts = self.parts.counts(shard.number)
                if not counts.exists():
                    counted = self._count_positive(shard, models, shown)
                    self.cache.make_room(functools.partial(moment_store.save_counts, counts, counted))
        distributed.wait(f"signs of window {window.number}")
        if not distributed.is_first():
            return
        totals: dict[tuple[int, str], np.ndarray] = {}
        for shard in window.shards:
            for key, some in moment_store.load_counts(distributed.see(self.parts.counts(shard.number))).items():
                totals[key] = totals.get(key, 0) + some
        oriented = {}
        for which, models_of in _interrupts.checked(models.items()):
            name = self.images.sets[which].name
            turned = {
                layer: ddt.orient(model, totals[which, layer][:-1] / max(int(totals[which, layer][-1]), 1))
                for layer, model in models_of.items()
            }
            oriented[name] = FittedSet(jax.device_get(turned), fitted[name].moments)
        self._save_fits(path, oriented)

    def _save_fits(self, path: Path, fits: Mapping[str, FittedSet]) -> None:
        self.cache.make_room(lambda: model_file.save(path, self.as_file(fits)))

    def _count_positive(
        self, shard: Shard, models: Mapping[int, Models], shown: Progress
    ) -> dict[tuple[int, str], np.ndarray]:
        counts: dict[tuple[int, str], np.ndarray] = {}
        for indices, _, maps in shard_features(self.stream, self.engine, shard, self.cache, "choosing the sign", shown):
            each = owners(self.images, indices).tolist()
            some = [models.get(which) for which in each]
            if maps is None or not any(some):
                continue
            for layer, rows in self.engine.positive_counts(some, maps).items():
                for which, row in zip(each, rows, strict=True):
                    if which in models:
                        counts[which, layer] = counts.get((which, layer), 0) + row.astype(np.int64)
        if shard.number not in self.cache:
            self.stream.forget(shard.images)
        return counts

    def _named(self, window: Window) -> Iterator[tuple[int, ImageSet]]:
        return ((which, self.images.sets[which]) for which in window.sets)
