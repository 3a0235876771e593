"""The tables of vehicle re-identification: each method learnt on the training vehicles and measured on others."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from jaxloc.data import Source
from jaxloc.errors import UsageError
from jaxloc.inference import Extractor
from jaxloc.metrics import one_of_each, recall_at, reidentify, trapezoid_average_precision
from jaxloc.options import NetworkOptions, ReidOptions, ReproduceOptions, network_options
from jaxloc.run.engine import load_weights, on_devices
from jaxloc.run.frozen import FrozenMaps
from jaxloc.run.reid.fitting import fit, vectors
from jaxloc.run.reid.listing import IdentityImage
from jaxloc.run.reid.train import kinds_of, maps_of, numbered
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.retrieval.scoring import unit
from jaxloc.run.training_checkpoints import Checkpoints

_STEPS, _DRAWS = 5000, 10
_OTHERS = "not trained here: another network, or larger images"


def measure_identities(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """Compute the maps once, learn each method and measure it; all of it resumes."""
    images = [image for image in prepared.truth().values() if image.path and image.category]
    listed = [IdentityImage(Source(one.path, one.name), str(one.category), one.coarse) for one in images if one.path]
    splits = [frozenset(one.splits) for one in images]
    identities = numbered([one.identity for one in listed])[0]
    shared = network_options(options)
    learning = {name: shared[name] for name in ("weights", "dtype", "workers", "allow_download", "devices", "conv")}
    how = ReidOptions(steps=_STEPS, seed=options.seed, **learning)
    weights = load_weights(NetworkOptions(**shared))
    engine = Extractor(on_devices(weights, how), [weights.backbone.defaults.retrieval])
    maps, skipped = maps_of(listed, engine, how, out / "maps")
    learnt = np.array(["train" in some for some in splits])
    seen = FrozenMaps(maps.features, np.where(learnt[:, None], maps.sizes, 0))
    if not seen.sizes.any() or learnt.all():
        raise UsageError(f"{prepared.place}: has no image of the split {'test' if learnt.all() else 'train'}")
    tables = papers.REID[prepared.name]
    rows, tests = [], 0
    for label, printed in tables.rows.items():
        measured = [math.nan] * len(printed)
        if label in papers.REID_METHODS:
            chosen = dataclasses.replace(how, method=papers.REID_METHODS[label])  # type: ignore[arg-type]
            with Checkpoints(out / chosen.method / "checkpoints") as checkpoints:
                settings = {**chosen.fingerprint(), "network": weights.checksum, "data": prepared.place}
                made, _ = fit(seen, identities, kinds_of(listed), chosen, checkpoints=checkpoints, settings=settings)
            tested = np.flatnonzero(~learnt & maps.sizes.any(1))
            found, tests = unit(vectors(made, maps, tested)), len(tested)
            measured = _measure(prepared.name, found, tested, listed, splits, options.seed)
        rows += [
            Row(label, measure, ours, paper, tests, reason="" if label in papers.REID_METHODS else _OTHERS)
            for measure, ours, paper in zip(tables.measures, measured, printed, strict=True)
        ]
    notes = [
        f"{int(seen.sizes.any(1).sum()):,} images are learnt from, in {_STEPS:,} steps of {how.step_images}.",
    ]
    if skipped:
        notes.append(f"{len(skipped)} images cannot be read.")
    return Measured(rows, notes)


def _measure(
    name: str,
    found: np.ndarray,
    tested: np.ndarray,
    listed: list[IdentityImage],
    splits: list[frozenset[str]],
    seed: int,
) -> list[float]:
    """The measures of a data set's table, in per cent, for the vectors of the images tested."""
    labels = np.array([listed[number].identity for number in tested])
    if name == "veri776":
        asked = np.array(["query" in splits[number] for number in tested])
        cameras = np.array([Path(listed[number].source.name).name.split("_")[1] for number in tested])
        return _across_cameras(found, labels, cameras, asked)
    measured: list[float] = []
    for size in papers.VEHICLE_ID_SIZES:
        chosen = np.array([f"test_{size}" in splits[number] for number in tested])
        if not chosen.any():
            measured += [math.nan, math.nan]
            continue
        some, own = found[chosen], labels[chosen]
        each = []
        for draw in range(_DRAWS):
            gallery = one_of_each(own, draw, seed=seed)
            each.append(reidentify(some[~gallery] @ some[gallery].T, own[~gallery], own[gallery]).matches)
        measured += (100 * np.mean(each, 0)).tolist()
    return measured


def _across_cameras(found: np.ndarray, labels: np.ndarray, cameras: np.ndarray, asked: np.ndarray) -> list[float]:
    """MAP and CMC at 1 and 5 of queries; an image of a query's vehicle by its own camera counts neither way."""
    values = []
    for query in np.flatnonzero(asked):
        gallery = np.flatnonzero(~asked)
        order = gallery[np.argsort(-(found[gallery] @ found[query]), kind="stable")]
        relevant = labels[order] == labels[query]
        keep = ~(relevant & (cameras[order] == cameras[query]))
        if (relevant & keep).any():
            matches = [recall_at(relevant, rank, keep=keep) for rank in (1, 5)]
            values.append([trapezoid_average_precision(relevant, keep=keep), *matches])
    return (100 * np.mean(values, 0)).tolist() if values else [math.nan] * 3
