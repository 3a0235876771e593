"""Re-identification on a gallery, as VehicleID measures it."""

import dataclasses
import os

import numpy as np

from jaxloc.errors import UsageError
from jaxloc.metrics import one_of_each, reidentify
from jaxloc.report.tables import text_table
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.listing import check_labels
from jaxloc.run.retrieval.vectors import SearchedVectors

RANKS = (1, 5)


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """Means over the draws and their standard deviations, in per cent.

    Attributes:
        identities: number of identities, each with one image in the gallery.
        queries: number of queries of a draw.
        matches: CMC at ``RANKS``.
        mean_average_precision: in its step form.
        deviations: of the two matches and of the precision.
    """

    identities: int
    queries: int
    matches: tuple[float, ...]
    mean_average_precision: float
    deviations: tuple[float, ...]
    draws: int


def evaluate(gallery: str | os.PathLike[str], *, draws: int = 10, seed: int = 0) -> Evaluated:
    """Search one random image of each identity for all other images, ``draws`` times."""
    opened = SearchedVectors(Gallery.open(gallery))
    check_labels(opened.labels(), "images of the gallery")
    vectors, labels = opened.all(), np.array(opened.labels())
    if len(np.unique(labels)) == len(labels):
        raise UsageError(
            f"{gallery}: has one image of each identity, which leaves no query: add further images of them"
        )
    measured = []
    for number in range(draws):
        chosen = one_of_each(labels, number, seed=seed)
        similarity = vectors[~chosen] @ vectors[chosen].T
        matches, precision = reidentify(similarity, labels[~chosen], labels[chosen], ranks=RANKS)
        measured.append([*matches, precision])
    *matches, precision = (100 * np.mean(measured, 0)).tolist()
    deviations = tuple((100 * np.std(measured, 0)).tolist())
    identities = len(np.unique(labels))
    return Evaluated(identities, len(labels) - identities, tuple(matches), precision, deviations, draws)


def evaluation_text(result: Evaluated) -> str:
    """The measures as a table."""
    names = [*(f"CMC@{rank}" for rank in RANKS), "mAP"]
    values = zip((*result.matches, result.mean_average_precision), result.deviations, strict=True)
    table = text_table(
        ["identities", "queries", *names],
        [[result.identities, result.queries, *(f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in values)]],
    )
    return f"{table}\nOne gallery image of each identity; means over {result.draws} draws and their deviations, in %."
