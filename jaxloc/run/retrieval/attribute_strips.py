"""The images with the highest and the lowest values of each dimension of a gallery's vectors."""

import os
from collections.abc import Sequence

import jax
import numpy as np

from jaxloc import attributes
from jaxloc.errors import UsageError
from jaxloc.report.search_records import Example, Searched, Strip
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.search import read_thumbnails
from jaxloc.run.retrieval.tables import Row
from jaxloc.run.retrieval.vectors import SearchedVectors


def strips(
    gallery: str | os.PathLike[str], dimensions: Sequence[int], *, count: int = 6, images: bool = True
) -> list[Strip]:
    """For each dimension, the images of the gallery with the highest and the lowest values (Wei et al., figure 8).

    Images without an object are left out.

    Args:
        gallery: a folder that ``index`` made; its dimensions are most meaningful after whitening.
        dimensions: numbers of dimensions, from 0 in order of falling variance.
        count: images at each end.
        images: with thumbnails.

    Raises:
        UsageError: there is no such dimension, or no gallery.
    """
    opened = Gallery.open(gallery)
    vectors = SearchedVectors(opened)
    found: attributes.Extremes | None = None
    total, squares, seen = np.zeros(0), np.zeros(0), 0
    for start, part in vectors.parts():
        wrong = [dimension for dimension in dimensions if not 0 <= dimension < part.shape[1]]
        if wrong:
            raise UsageError(f"there is no dimension {wrong[0]}: the vectors have {part.shape[1]}, counted from 0")
        there = part.any(1)
        ends = _extremes(part, there, start, count=count, dimensions=tuple(dimensions))
        found = ends if found is None else attributes.merge(found, ends)
        values = part[there].astype(np.float64)
        total = values.sum(0) + (total if seen else 0)
        squares = np.square(values).sum(0) + (squares if seen else 0)
        seen += len(values)
    if found is None or not seen:
        raise UsageError(f"{opened.folder}: in no image of the gallery was anything selected")
    variance = np.maximum(squares / seen - np.square(total / seen), 0)
    shares = variance / max(variance.sum(), np.finfo(float).tiny)
    return _to_strips(opened, found, dimensions, shares, images)


def attributes_of(gallery: str | os.PathLike[str], dimensions: int, *, count: int = 6) -> Searched:
    """The strips of a gallery's first dimensions, as records of a page without queries.

    Args:
        gallery: a folder that ``index`` made.
        dimensions: number of dimensions.
        count: images at each end.

    Raises:
        UsageError: there are fewer dimensions, or no gallery.
    """
    found = strips(gallery, range(dimensions), count=count)
    opened = Gallery.open(gallery)
    vectors = SearchedVectors(opened)
    return Searched(
        title=opened.folder.resolve().name,
        settings={"descriptor": opened.description.descriptor, "whitening": opened.description.whiten},
        gallery_size=len(vectors),
        queries=[],
        strips=found,
        warnings=list(vectors.warnings),
    )


def _extremes_of_part(
    part: jax.Array, there: jax.Array, start: jax.Array, *, count: int, dimensions: tuple[int, ...]
) -> attributes.Extremes:
    return attributes.extremes(part, count=count, valid=there, dimensions=dimensions, offset=start)


_extremes = jax.jit(_extremes_of_part, static_argnames=("count", "dimensions"))


def _to_strips(
    gallery: Gallery, found: attributes.Extremes, dimensions: Sequence[int], shares: np.ndarray, images: bool
) -> list[Strip]:
    valid = np.asarray(found.valid)
    high, low = np.asarray(found.high)[:, valid], np.asarray(found.low)[:, valid]
    table = gallery.whole_table()
    rows = {int(number): table.row(int(number)) for number in np.unique(np.concatenate([high, low]))}
    thumbnails = read_thumbnails([row.path for row in rows.values()]) if images else {}

    def example(number: int, value: float) -> Example:
        row: Row = rows[number]
        return Example(row.name, row.label, value, thumbnails.get(row.path))

    def end(numbers: np.ndarray, values: np.ndarray) -> list[Example]:
        return [example(int(number), float(value)) for number, value in zip(numbers, values[valid], strict=True)]

    high_values, low_values = np.asarray(found.high_values), np.asarray(found.low_values)
    return [
        Strip(dimension, float(shares[dimension]), end(high[i], high_values[i]), end(low[i], low_values[i]))
        for i, dimension in enumerate(dimensions)
    ]
