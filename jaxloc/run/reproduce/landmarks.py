"""Tables of retrieval by judged queries: mAP of ranking by cosine, and by diffusion."""

from pathlib import Path

import jax
import numpy as np

from jaxloc import ranking
from jaxloc.data.datasets import open_dataset
from jaxloc.errors import UsageError
from jaxloc.options import IndexOptions, NetworkOptions, ReproduceOptions, network_options
from jaxloc.run.reproduce import papers
from jaxloc.run.reproduce.boxes import Measured
from jaxloc.run.reproduce.data import Prepared
from jaxloc.run.reproduce.results import Row
from jaxloc.run.retrieval.index import index
from jaxloc.run.retrieval.protocols import evaluate_protocol

_NEIGHBORS = 50
"""Of a vector in the graph of diffusion, as in the paper."""


def measure_landmarks(prepared: Prepared, out: Path, options: ReproduceOptions) -> Measured:
    """MAP of each descriptor of the paper, by cosine and by diffusion."""
    if options.limit is not None:
        raise UsageError("the queries are judged among all images: leave --limit out")
    dataset, rows, notes = open_dataset(prepared.place), list[Row](), dict[str, None]()
    if not dataset.queries:
        raise UsageError(f"{prepared.place}: no judged queries here: `jaxloc datasets {prepared.name}` tells the file")
    for (descriptor, title), by_set in papers.DISCOVERY_TABLE_1.items():
        gallery, network = out / descriptor, network_options(options)
        index([prepared.place], gallery, IndexOptions(descriptor=descriptor, region_weights="equal", **network))
        for (measure, rank), paper in zip(_RANKINGS.items(), by_set[prepared.name], strict=True):
            found = evaluate_protocol(gallery, dataset, NetworkOptions(**network), rank=rank)
            scores = found.setups["all"]
            rows.append(Row(title, measure, scores.mean_average_precision, paper, scores.queries, digits=1))
            notes |= dict.fromkeys([*found.warnings, *(f"{name}: {why}" for name, why in found.skipped.items())])
    return Measured(rows, [*notes])


def _diffuse(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Rows of the gallery for each query, best first, ``[q, n]``."""
    graph = ranking.neighbor_graph(gallery, k=min(_NEIGHBORS, len(gallery) - 1))
    found = ranking.top_k(queries, gallery, k=len(gallery))
    return np.asarray(jax.device_get(ranking.diffuse(found, graph).found.indices))


_RANKINGS = {"mAP, %": None, "mAP after diffusion, %": _diffuse}
