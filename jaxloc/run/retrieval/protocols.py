"""Evaluate a gallery with the queries of a landmark benchmark, whose images are judged for each query.

Oxford 5k and Paris 6k (Philbin et al., CVPR 2007 and 2008): good and ok images are to be found, junk counts neither
way. Their revisited protocols (Radenović et al., CVPR 2018) judge images easy, hard or junk and measure three setups.
INSTRE lists the images to be found. Queries are cut out by their boxes. The average precision is that of trapezoids, as
these benchmarks' own programs compute it.
"""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxloc.data import Source
from jaxloc.data.cropped import Crop
from jaxloc.data.datasets import Dataset, Query
from jaxloc.errors import UsageError
from jaxloc.metrics import trapezoid_average_precision
from jaxloc.options import NetworkOptions
from jaxloc.run.evaluation.names import pair_endings
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.listing import Labelled
from jaxloc.run.retrieval.queries import describe_queries
from jaxloc.run.retrieval.scoring import rankings
from jaxloc.run.retrieval.vectors import SearchedVectors

SETUPS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "easy": (("easy",), ("hard", "junk")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("easy", "junk")),
}
"""Of the revisited protocols: the judgements to be found, and those that count neither way."""
_PLAIN = {"all": (("good", "ok"), ("junk",))}
FIRST = (1, 5, 10)
"""Numbers of results that mean precision is measured in."""


@dataclasses.dataclass(frozen=True)
class SetupScores:
    """Means over the queries of a setup, in per cent.

    Attributes:
        without: number of queries for which nothing is to be found; they do not count.
        mean_average_precision: by trapezoids.
        precisions: mean precision of the first ``FIRST`` results; of a query whose images are all found earlier, of
            the results down to the last of them.
    """

    queries: int
    without: int
    mean_average_precision: float
    precisions: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ProtocolEvaluation:
    """Scores by setup, the number of images searched, the vectors' dimension, and why queries were skipped."""

    setups: dict[str, SetupScores]
    gallery: int
    dimension: int
    skipped: dict[str, str]
    warnings: list[str]


Rank = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Rows of a gallery for each query, best first, ``[q, n]``, given vectors of unit length, ``[q, d]`` and ``[n, d]``."""


def evaluate_protocol(
    gallery: str | os.PathLike[str],
    dataset: Dataset,
    options: NetworkOptions | None = None,
    *,
    rank: Rank | None = None,
) -> ProtocolEvaluation:
    """Rank the gallery for each query of a data set, by cosine or by ``rank``, and measure each setup.

    Images of the gallery that the data set does not have are distractors. Images that a query is cut out of count only
    if they are judged.
    """
    opened = Gallery.open(gallery)
    vectors = SearchedVectors(opened)
    places = _places(opened, dataset)
    judged = {name for query in dataset.queries for names in query.judged.values() for name in names}
    missing = sorted(judged - places.keys())
    if len(missing) == len(judged):
        raise UsageError(
            f"{opened.folder}: holds none of the images that {dataset.info.title} judges, such as "
            f"{next(iter(missing), 'any')}: index the data set, `jaxloc index {dataset.info.name}:FOLDER --out GALLERY`"
        )
    asked = []
    for query in dataset.queries:
        image = dataset.images[query.image].path
        if image is None:
            raise UsageError(f"{dataset.place}: the image of query {query.name} is not there")
        asked.append(Labelled(Source(image if query.box is None else Crop(image, query.box), query.name), None))
    described, skipped = describe_queries(opened, asked, options or NetworkOptions())
    numbers = {image.source.name: number for number, image in enumerate(asked)}
    queries = [dataset.queries[numbers[one.query.name]] for one in described]
    unjudged = [places[query.image] for query in dataset.queries if query.image in places.keys() - judged]
    searched, prepared = vectors.all(), vectors.prepare(np.stack([one.vector for one in described]))
    if rank is None:
        ranked = [row for _, _, some in rankings(prepared, searched) for row in some]
    else:
        ranked = list(rank(prepared, searched))
    setups = SETUPS if any("easy" in query.judged for query in queries) else _PLAIN
    scores = {}
    for setup, (wanted, junk) in setups.items():
        measured = [
            measure(row, _of(query, wanted, places), _of(query, junk, places), _count(query, wanted), unjudged)
            for row, query in zip(ranked, queries, strict=True)
        ]
        scores[setup] = _mean(np.array(measured))
    warnings = list(vectors.warnings)
    if missing:
        warnings.append(
            f"{len(missing)} judged images are not in the gallery, such as {missing[0]}: they are not found"
        )
    return ProtocolEvaluation(scores, len(searched), searched.shape[1], skipped, warnings)


def measure(
    ranking: np.ndarray, wanted: Sequence[int], junk: Sequence[int], total: int, unjudged: Sequence[int] = ()
) -> list[float]:
    """Average precision and the precision of the first ``FIRST``, from 0 to 1; NaN if nothing is to be found.

    Args:
        ranking: int ``[n]``, rows of the gallery, best first.
        wanted: rows to be found.
        junk: rows that count neither way.
        total: number of images to be found, those that the gallery lacks among them.
        unjudged: further rows that count neither way.
    """
    if not total:
        return [math.nan] * (1 + len(FIRST))
    relevant, keep = np.isin(ranking, wanted), ~np.isin(ranking, [*junk, *unjudged])
    found = np.cumsum(keep)[relevant & keep]
    ends = [min(found.max(initial=1), k) for k in FIRST]
    average = trapezoid_average_precision(relevant, keep=keep, positives=np.int64(total))
    return [float(average), *(float((found <= end).sum() / end) for end in ends)]


def _places(gallery: Gallery, dataset: Dataset) -> dict[str, int]:
    """Row of each image of a data set in the gallery, by path, or by the ending of its name where no path is there."""
    table = gallery.whole_table()
    rows = {path: row for row, path in enumerate(table["path"].to_pylist())}
    part = dataset.part()
    paths = {part.name(number): str(part.path(number)) for number in range(len(part))}
    found = {name: rows[path] for name, path in paths.items() if path in rows}
    if found:
        return found
    names = {name: row for row, name in enumerate(table["name"].to_pylist())}
    return {name: names[other] for name, other in pair_endings(paths, names).items()}


def _of(query: Query, kinds: Sequence[str], places: Mapping[str, int]) -> list[int]:
    return [places[name] for kind in kinds for name in query.judged.get(kind, ()) if name in places]


def _count(query: Query, kinds: Sequence[str]) -> int:
    return len({name for kind in kinds for name in query.judged.get(kind, ())})


def _mean(measured: np.ndarray) -> SetupScores:
    counts = ~np.isnan(measured[:, 0])
    average, *precisions = (100 * measured[counts].mean(0)).tolist() if counts.any() else [math.nan] * measured.shape[1]
    return SetupScores(int(counts.sum()), int((~counts).sum()), average, tuple(precisions))


def to_plain(result: ProtocolEvaluation) -> dict[str, object]:
    """An evaluation as plain values for JSON."""
    return dataclasses.asdict(result)
