"""Evaluate search in a gallery of known labels."""

import dataclasses
import os
from collections.abc import Sequence

import numpy as np

from jaxloc.errors import UsageError
from jaxloc.options import NetworkOptions
from jaxloc.report.text import some_of
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.listing import Paths, check_labels, find_images
from jaxloc.run.retrieval.queries import describe_queries
from jaxloc.run.retrieval.scoring import Scored, score
from jaxloc.run.retrieval.vectors import SearchedVectors


@dataclasses.dataclass(frozen=True)
class RetrievalEvaluation:
    """Measures of a gallery: the number of images searched, the vectors' dimension, and why queries were skipped.

    With ``leave_one_out`` each image of the gallery was a query against the rest.
    """

    scored: Scored
    gallery: int
    dimension: int
    leave_one_out: bool
    skipped: dict[str, str]
    warnings: list[str]


def evaluate_retrieval(
    gallery: str | os.PathLike[str],
    queries: Paths = (),
    options: NetworkOptions | None = None,
    *,
    labels: str | os.PathLike[str] | None = None,
    splits: Sequence[str] = (),
) -> RetrievalEvaluation:
    """Rank the gallery for every query; measure the SCDA paper's top-1 and top-5 mAP, full AP and R@k.

    Args:
        gallery: a folder that ``index`` made.
        queries: images, folders, lists of paths, or one other gallery; without any, each image of the gallery
            in turn is a query against the rest. A query that is in the gallery itself is left out of its own ranking.
        options: weights and how to read, for queries that are images.
        labels: a COCO file of the queries' labels; by default an image's folder.
        splits: only queries of these splits in the COCO file.
    """
    from_gallery = len(queries) == 1 and Gallery.is_one(queries[0])
    if (labels is not None or splits) and (from_gallery or not queries):
        raise UsageError(
            "labels and splits are those of images to search with, and there are none: name them with --queries, or "
            "index the gallery again with --labels"
        )
    opened = Gallery.open(gallery)
    vectors = SearchedVectors(opened)
    table = opened.whole_table()
    searched, kinds = vectors.all(), np.array(table["label"].to_pylist(), object)
    check_labels(list(kinds), "images of the gallery")
    skipped: dict[str, str] = {}
    if not queries:
        asked, wanted, paths = searched, kinds, table["path"].to_pylist()
    elif from_gallery:
        asked, wanted, paths = _of_gallery(Gallery.open(queries[0]), opened, vectors)
    else:
        found = find_images(queries, labels=labels, splits=splits)
        check_labels([image.label for image in found], "queries", several=False)
        described, skipped = describe_queries(opened, found, options or NetworkOptions())
        asked = vectors.prepare(np.stack([one.vector for one in described]))
        wanted = np.array([one.query.label for one in described], object)
        paths = [one.key for one in described]
    if not set(wanted) & set(kinds):
        raise UsageError(
            f"no label in common: queries have {some_of(sorted(set(wanted)))}, the gallery has "
            f"{some_of(sorted(set(kinds)))}; "
            "name the same COCO file, or the same folders"
        )
    places = {path: place for place, path in enumerate(table["path"].to_pylist())}
    same = np.array([places.get(path, -1) for path in paths])
    scored = score(asked, wanted, searched, kinds, same=same)
    warnings, both = list(vectors.warnings), int((same >= 0).sum())
    if queries and both:
        warnings.append(f"{both} queries are in the gallery themselves: each is left out of its own ranking")
    return RetrievalEvaluation(scored, len(searched), searched.shape[1], not queries, skipped, warnings)


def _of_gallery(
    queries: Gallery, gallery: Gallery, vectors: SearchedVectors
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    difference = gallery.description.difference(queries.description)
    if not difference and _codebooks(gallery) != _codebooks(queries):
        difference = "the codebook, which each fitted on its own images: search with the images instead"
    if difference:
        raise UsageError(
            f"{queries.folder} and {gallery.folder} cannot be compared: they differ in {difference}; "
            "index the queries again as the gallery was"
        )
    table = queries.whole_table()
    if not len(table):
        raise UsageError(f"{queries.folder}: the gallery is empty: add images with `jaxloc index`")
    kinds = table["label"].to_pylist()
    check_labels(kinds, "queries", several=False)
    asked = vectors.prepare(np.concatenate(list(queries.chunks())))
    return asked, np.array(kinds, object), table["path"].to_pylist()


def _codebooks(gallery: Gallery) -> bytes:
    paths = gallery.codebooks_path, gallery.projection_path
    return b"".join(path.read_bytes() for path in paths if path.is_file())


def to_plain(result: RetrievalEvaluation) -> dict[str, object]:
    """An evaluation as plain values for JSON."""
    return {
        "mean": dataclasses.asdict(result.scored.mean),
        "classes": {label: dataclasses.asdict(scores) for label, scores in result.scored.classes.items()},
        "gallery": result.gallery,
        "dimension": result.dimension,
        "leave_one_out": result.leave_one_out,
        "skipped": result.skipped,
        "warnings": result.warnings,
    }
