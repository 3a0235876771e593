"""What a job found, as plain records: the one input of every export, overlay and page."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxloc import __version__


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One picture and what was found in it.

    Attributes:
        name: path relative to what the user pointed at, with forward slashes.
        path: the file.
        category: the image set it belongs to.
        width: of the original picture as displayed (EXIF orientation applied), in pixels.
        height: likewise.
        box: ``x0, y0, x1, y1`` in pixels of the original, half-open; ``None`` where nothing was found.
        score: in [0, 1), how far the object stands out; 0 where nothing was found.
        found: whether there is an object.
        noise_score: share of cells with a positive indicator (DDT), small where the object is absent; ``None`` for
            methods that have no such measure.
        noisy: whether the noise score is at or below the threshold.
        heat: int8 ``[h, w]``, the response map minus its threshold, scaled to the picture's largest magnitude
            (±127): positive cells are object. ``None`` if not kept.
        thumbnail: a small JPEG of the picture, or ``None`` if not kept.
    """

    name: str
    path: Path
    category: str
    width: int
    height: int
    box: tuple[float, float, float, float] | None
    score: float
    found: bool
    noise_score: float | None = None
    noisy: bool = False
    heat: np.ndarray | None = None
    thumbnail: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped:
    """One picture that could not be used, and why (one line, without its name)."""

    name: str
    category: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Findings:
    """Everything one job found.

    Attributes:
        title: what was looked at, for a heading.
        method: ``"ddt"``, ``"ddt+"`` or ``"scda"``.
        settings: what the result depends on, printable, in a fixed order.
        pictures: in order of name within each category.
        skipped: pictures that could not be used.
        warnings: what the user should know of each category, such as a doubtful sign.
    """

    title: str
    method: str
    settings: Mapping[str, str]
    pictures: list[Finding]
    skipped: list[Skipped]
    warnings: list[str] = dataclasses.field(default_factory=list)

    @property
    def categories(self) -> list[str]:
        """Names of the image sets, sorted."""
        return sorted({item.category for item in self.pictures} | {item.category for item in self.skipped})

    @property
    def version(self) -> str:
        """The version of jaxloc that found it."""
        return __version__
