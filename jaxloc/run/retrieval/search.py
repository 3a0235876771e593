"""Search a gallery with images: describe them as the gallery, rank, and collect records for a page."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxloc import __version__
from jaxloc.descriptors import DESCRIPTORS
from jaxloc.metrics import top_k_average_precision
from jaxloc.options import NetworkOptions, SearchOptions
from jaxloc.report.records import Skipped
from jaxloc.report.search_records import Result, Searched, Strip
from jaxloc.report.text import counted
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.listing import Paths, find_images
from jaxloc.run.retrieval.queries import Asked, describe_queries
from jaxloc.run.retrieval.relocation import is_there
from jaxloc.run.retrieval.reranking import rank
from jaxloc.run.retrieval.vectors import SearchedVectors
from jaxloc.run.thumbnails import read_thumbnails


def search(
    gallery: str | os.PathLike[str],
    queries: Paths,
    options: NetworkOptions | None = None,
    ranking: SearchOptions | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = (),
    images: bool = False,
    strips: Sequence[Strip] = (),
) -> Searched:
    """Find the images of a gallery that are most like each query.

    Args:
        gallery: a folder that ``index`` made.
        queries: folders, images, or text files of paths.
        options: of weights and reading; options that vectors depend on are the gallery's.
        ranking: number of results, expansion and re-ranking.
        labels: a COCO file of the queries' labels; by default an image's folder.
        splits: only queries of these splits in the COCO file.
        images: keep thumbnails of queries and results, for a page.
        strips: shown with them.
    """
    options, ranking = options or NetworkOptions(), ranking or SearchOptions()
    opened = Gallery.open(gallery)
    vectors = SearchedVectors(opened)
    found = find_images(queries, labels=labels, splits=splits)
    described, skipped = describe_queries(opened, found, options, thumbnails=images)
    queried = vectors.prepare(np.stack([asked.vector for asked in described]))
    ranked = rank(queried, vectors, ranking, regions=[asked.regions for asked in described])
    table = opened.whole_table()
    rows = rows_of(table, ranked.rows)
    thumbnails = thumbnails_of(rows) if images else {}
    doubts = lost_images(rows, thumbnails, gallery) if images else []
    kinds = set(table["label"].to_pylist())
    known = kinds if len(kinds) > 1 else set()  # a single kind says nothing of what is right
    answered = []
    for asked, places, scores in zip(described, ranked.rows.tolist(), ranked.scores.tolist(), strict=True):
        # Labels that the gallery does not know (the name of some folder of queries) say nothing about relevance.
        label = asked.query.label if asked.query.label in known else None
        results = [
            _result(rows[place], score, label, thumbnails.get(place))
            for place, score in zip(places, scores, strict=True)
            if place >= 0  # an approximate index may find fewer
        ]
        answered.append(
            dataclasses.replace(asked.query, label=label, results=results, average_precision=_precision(results))
        )
    precisions = [query.average_precision for query in answered if query.average_precision is not None]
    return Searched(
        title=opened.folder.resolve().name,
        settings=_settings(opened, ranking),
        gallery_size=len(vectors),
        queries=answered,
        skipped=[Skipped(name, "queries", reason) for name, reason in skipped.items()],
        strips=list(strips),
        warnings=[
            *(*vectors.warnings, *ranked.warnings, *doubts),
            *_doubts(described, table, opened.description.descriptor),
        ],
        summary={f"mAP of the first {ranked.rows.shape[1]}": f"{np.mean(precisions):.2%}"} if precisions else {},
    )


def rows_of(table: Any, numbers: np.ndarray) -> dict[int, dict[str, Any]]:
    """Rows of a gallery's table by their numbers, which may repeat; negative ones stand for none."""
    chosen = np.unique(numbers[numbers >= 0])
    return dict(zip(chosen.tolist(), table.take(chosen).to_pylist(), strict=True))


def thumbnails_of(rows: Mapping[int, Mapping[str, Any]]) -> dict[int, bytes]:
    """Small JPEGs of the images of some rows; unreadable images are left out."""
    paths = {number: row["path"] for number, row in rows.items()}
    return read_thumbnails(paths, workers=os.cpu_count() or 1, shorter_side=512)


def lost_images(
    rows: Mapping[int, Mapping[str, Any]], thumbnails: Mapping[int, bytes], gallery: str | os.PathLike[str]
) -> list[str]:
    """A warning if images of these rows were moved."""
    lost = [row["path"] for number, row in rows.items() if number not in thumbnails and not is_there(row["path"])]
    if not lost:
        return []
    return [
        f"{counted(len(lost), 'image')} to be shown, such as {lost[0]}, are not there any more: if they were moved, "
        f"`jaxloc index PHOTOS --out {gallery}` knows them again by their content"
    ]


def _result(row: Mapping[str, Any], score: float, label: str | None, thumbnail: bytes | None) -> Result:
    return Result(
        name=row["name"],
        label=row["label"],
        score=score,
        relevant=None if label is None or row["label"] is None else row["label"] == label,
        thumbnail=thumbnail,
        box=row["box"] and tuple(row["box"]),
        width=row["width"],
        height=row["height"],
    )


def _precision(results: Sequence[Result]) -> float | None:
    if not results or any(result.relevant is None for result in results):
        return None
    relevant = np.array([result.relevant is True for result in results])
    return float(top_k_average_precision(relevant, len(results)))


def _doubts(queries: Sequence[Asked], table: Any, descriptor: str) -> list[str]:
    if not DESCRIPTORS[descriptor].selects:
        return []
    doubts = []
    empty = [asked.query.name for asked in queries if not asked.query.found]
    if empty:
        doubts.append(
            f"nothing was selected in {len(empty)} of the queries (such as {empty[0]}): the vector is zero there, and "
            "the order of its results means nothing"
        )
    if not_found := table["found"].to_pylist().count(False):
        doubts.append(f"in {not_found} images of the gallery nothing was selected: they rank last")
    return doubts


def _settings(gallery: Gallery, ranking: SearchOptions) -> dict[str, str]:
    made = gallery.description
    return {
        "descriptor": made.descriptor,
        "layer": str(made.settings["layer"]),
        "whitening": made.whiten,
        "weights": made.architecture,
        "weights checksum": made.weights_checksum,
        "shorter side at most": f"{made.settings['max_side']} pixels" if made.settings["max_side"] else "unlimited",
        "expansion": f"{ranking.expand_with} results, α = {ranking.alpha:g}" if ranking.expand else "none",
        "re-ranking": ranking.rerank,
        "jaxloc": __version__,
    }


def to_plain(searched: Searched) -> dict[str, object]:
    """Results of a search as plain values for JSON, without thumbnails; an image without an object scores -inf."""
    told = ("name", "label", "score", "relevant", "box", "width", "height")
    return {
        "gallery": searched.title,
        "settings": dict(searched.settings),
        "queries": [
            {"name": one.name, "label": one.label, "found": one.found, "box": one.box}
            | {"results": [{name: getattr(result, name) for name in told} for result in one.results]}
            for one in searched.queries
        ],
        "skipped": [dataclasses.asdict(skip) for skip in searched.skipped],
        "warnings": searched.warnings,
    }
