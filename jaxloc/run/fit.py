"""The first pass over an image set: the moments of its descriptors, and DDT from them."""

from collections.abc import Iterator

import numpy as np

from jaxloc import _interrupts, ddt, moments
from jaxloc.ddt import Model
from jaxloc.run.engine import Engine, Maps
from jaxloc.run.feature_cache import FeatureCache
from jaxloc.run.localizer import add_moments, positive_counts
from jaxloc.run.model_file import FittedSet
from jaxloc.run.stream import SetStream

MINIMUM_SET = 2
"""Pictures that a set must have for anything to be shared."""


def fit_set(
    stream: SetStream, engine: Engine, sign: str, cache: FeatureCache, start: FittedSet | None = None
) -> FittedSet | None:
    """Fit DDT to a set in one pass, keeping features for the second where they fit.

    Args:
        stream: the set's pictures.
        engine: the compiled steps.
        sign: one of the rules in ``Options.sign``; ``"minority"`` takes a further pass over the features.
        cache: where features are kept.
        start: an earlier fit whose moments are added to.

    Returns:
        The fit, or ``None`` if there are fewer than two pictures to fit to.
    """
    sums = dict(start.moments) if start else None
    for batch in stream.batches("fitting"):
        maps = engine.features(batch)
        if sums is None:
            sums = {layer: moments.empty(features.shape[-1]) for layer, (features, _) in maps.items()}
        sums = add_moments(sums, maps)
        cache.put(batch, maps)
    if sums is None or (start is None and len(stream.sizes) < MINIMUM_SET):
        return None
    rule: ddt.Sign = "loading" if sign == "loading" else "none" if sign == "none" else "aggregation"
    models = {layer: ddt.fit(sums[layer], sign=rule) for layer in engine.layers}
    if sign == "minority":
        models = _orient_by_minority(stream, engine, cache, models)
    return FittedSet(models, sums)


def _orient_by_minority(
    stream: SetStream, engine: Engine, cache: FeatureCache, models: dict[str, Model]
) -> dict[str, Model]:
    totals = {layer: np.zeros(len(model.eigenvalues) + 1, np.int64) for layer, model in models.items()}
    for _, _, maps in feature_batches(stream, engine, "choosing the sign", cache):
        for layer, counts in positive_counts(models, maps).items():
            totals[layer] += np.asarray(counts)
    return {
        layer: ddt.orient(model, totals[layer][:-1] / max(int(totals[layer][-1]), 1)) for layer, model in models.items()
    }


def feature_batches(
    stream: SetStream, engine: Engine, purpose: str, cache: FeatureCache | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, Maps]]:
    """Indices, original sizes and features of every batch: those kept on disk, then the rest through the network.

    Args:
        stream: the set's pictures.
        engine: the compiled steps.
        purpose: a word for the progress bar.
        cache: features kept by an earlier pass.
    """
    kept: set[int] = set()
    if cache is not None:
        for kept_batch in cache:
            _interrupts.check()
            yield kept_batch
        kept = cache.indices
    for batch in stream.batches(purpose, leave_out=kept):
        yield batch.indices, batch.original_sizes, engine.features(batch)
