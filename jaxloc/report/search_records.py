"""Results of a search as plain records: the input of its page."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from jaxloc.report.records import Skipped


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One image at an end of a dimension.

    Attributes:
        name: path relative to what the user pointed at, with forward slashes.
        label: its class, ``None`` if unknown.
        value: of its vector in that dimension.
        thumbnail: a small JPEG, or ``None`` if not kept.
    """

    name: str
    label: str | None
    value: float
    thumbnail: bytes | None


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """One image of the gallery that a query found; other fields are as in ``Finding`` and ``Example``.

    Attributes:
        score: its similarity to the query; larger is more similar.
        relevant: whether it shows what the query shows, ``None`` if unknown.
    """

    name: str
    label: str | None
    score: float
    relevant: bool | None
    thumbnail: bytes | None
    box: tuple[float, float, float, float] | None
    width: int
    height: int


@dataclasses.dataclass(frozen=True, slots=True)
class Query:
    """One query image and its results; other fields are as in ``Finding`` and ``Example``.

    Attributes:
        mask: bool ``[h, w]``, True for the cells of the object at feature resolution; ``None`` if not kept.
        found: whether an object was found to search with.
        average_precision: in [0, 1], ``None`` where relevance is unknown.
        names: those that the image was given, with their scores, best first; its label is the first. Empty for a
            search.
    """

    name: str
    label: str | None
    width: int = 0
    height: int = 0
    box: tuple[float, float, float, float] | None = None
    mask: np.ndarray | None = None
    found: bool = True
    thumbnail: bytes | None = None
    results: list[Result] = dataclasses.field(default_factory=list)
    average_precision: float | None = None
    names: Sequence[tuple[str, float]] = ()

    @property
    def margin(self) -> float | None:
        """How far the best name's score lies above the second's; ``None`` for a search."""
        return self.names[0][1] - self.names[1][1] if self.names else None


@dataclasses.dataclass(frozen=True, slots=True)
class Strip:
    """The images at both ends of one dimension of the vectors.

    Attributes:
        dimension: counted from 0.
        share: of the variance that the dimension explains, in [0, 1]; ``None`` if unknown.
    """

    dimension: int
    share: float | None
    high: list[Example]
    low: list[Example]


@dataclasses.dataclass(frozen=True, slots=True)
class Searched:
    """All results of a search.

    Attributes:
        title: what was searched, for a heading.
        settings: what the result depends on, printable, in a fixed order.
        gallery_size: images that could be found.
        gallery_name: what they are together, for a heading.
        skipped: images that could not be used, of queries and gallery.
        summary: figures of all queries, such as a mean average precision; name and printable value.
        lead: what was done, in a sentence; empty for a search.
    """

    title: str
    settings: Mapping[str, str]
    gallery_size: int
    queries: list[Query]
    skipped: list[Skipped] = dataclasses.field(default_factory=list)
    strips: list[Strip] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)
    summary: Mapping[str, str] = dataclasses.field(default_factory=dict)
    gallery_name: str = "Gallery"
    lead: str = ""
