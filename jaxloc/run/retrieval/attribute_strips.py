"""The images with the highest and the lowest values of each dimension of a gallery's vectors."""

import os
from collections.abc import Sequence

import numpy as np

from jaxloc import attributes
from jaxloc.errors import UsageError
from jaxloc.report.search_records import Example, Searched, Strip
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.search import rows_of, thumbnails_of
from jaxloc.run.retrieval.vectors import SearchedVectors


def strips(gallery: str | os.PathLike[str], dimensions: Sequence[int], *, count: int = 6) -> list[Strip]:
    """For each dimension, the images of the gallery with the highest and the lowest values (Wei et al., figure 8).

    Images without an object are left out.

    Dimensions are numbered from 0 in order of falling variance; they say most after whitening.
    """
    opened = Gallery.open(gallery)
    found: attributes.Extremes | None = None
    sums, seen = np.zeros((2, 1)), 0
    for start, part in SearchedVectors(opened).parts():
        wrong = [dimension for dimension in dimensions if not 0 <= dimension < part.shape[1]]
        if wrong:
            raise UsageError(f"there is no dimension {wrong[0]}: the vectors have {part.shape[1]}, counted from 0")
        there = part.any(1)
        ends = attributes.extremes(part, valid=there, offset=start, count=count, dimensions=tuple(dimensions))
        found = ends if found is None else attributes.merge(found, ends)
        values = part[there].astype(np.float64)
        sums = np.add(sums, [values.sum(0), np.square(values).sum(0)])
        seen += len(values)
    if found is None or not seen:
        raise UsageError(f"{opened.folder}: in no image of the gallery was anything selected")
    mean, square = sums / seen
    variance = np.maximum(square - np.square(mean), 0)
    shares = variance / max(variance.sum(), np.finfo(float).tiny)
    valid = np.asarray(found.valid)
    high, low, high_values, low_values = (
        np.asarray(values)[:, valid] for values in (found.high, found.low, found.high_values, found.low_values)
    )
    rows = rows_of(opened.whole_table(), np.concatenate([high, low]))
    thumbnails = thumbnails_of(rows)

    def end(numbers: np.ndarray, values: np.ndarray) -> list[Example]:
        return [
            Example(rows[number]["name"], rows[number]["label"], value, thumbnails.get(number))
            for number, value in zip(numbers.tolist(), values.tolist(), strict=True)
        ]

    return [
        Strip(dimension, float(shares[dimension]), end(high[i], high_values[i]), end(low[i], low_values[i]))
        for i, dimension in enumerate(dimensions)
    ]


def attributes_of(gallery: str | os.PathLike[str], dimensions: int, *, count: int = 6) -> Searched:
    """The strips of a gallery's first dimensions, as records of a page without queries; see ``strips``."""
    opened = Gallery.open(gallery)
    vectors = SearchedVectors(opened)
    return Searched(
        title=opened.folder.resolve().name,
        settings={"descriptor": opened.description.descriptor, "whitening": opened.description.whiten},
        gallery_size=len(vectors),
        queries=[],
        strips=strips(gallery, range(dimensions), count=count),
        warnings=vectors.warnings,
    )
