"""Options of cleaning, validated when they are made."""

import dataclasses
import math
from typing import Literal, get_args

from jaxloc.data.duplicates import MOST_BITS
from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.report.exports import formats
from jaxloc.run.options import Options

KNEE: Literal["knee"] = "knee"
FORMATS = tuple(name for name, format in formats.FORMATS.items() if format.holds_boxes)
"""Formats that a data set can be written in."""
Placement = Literal["copy", "link"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleaningOptions:
    """Options of cleaning.

    Attributes:
        noise: images whose object share is at or below this are noise (the paper uses 0 and 0.1); ``"knee"`` finds a
            threshold in the shares of each class.
        duplicates: maximum number of bits in which the hashes of duplicates differ; ``None`` keeps duplicates.
        format: of the data set.
        placement: how the kept images get into a coco, voc or yolo data set: ``"copy"``, so that changing one changes
            no original, or ``"link"``, hard links that take no space.
        found_only: leave images that are kept by hand, but in which nothing was found, out of the data set, where
            they would be examples without the object.
        rounds: number of fits; each further one uses the images that the previous one kept.
        review_limit: maximum number of images on the review page, the most doubtful first.
        job: options of the co-localisation. Its noise threshold and report are not used.
    """

    noise: float | Literal["knee"] = 0.1
    duplicates: int | None = 4
    format: str = "coco"
    placement: Placement = "copy"
    found_only: bool = True
    rounds: int = 1
    review_limit: int = 2000
    job: Options = dataclasses.field(default_factory=Options)

    def __post_init__(self) -> None:
        if self.noise != KNEE and not (math.isfinite(self.noise) and 0 <= self.noise < 1):
            raise UsageError(f"noise must be a share of cells, from 0 to below 1, or {KNEE}, not {self.noise}")
        if self.duplicates is not None and not 0 <= self.duplicates <= MOST_BITS:
            raise UsageError(f"duplicates must be from 0 to {MOST_BITS} bits, or none, not {self.duplicates}")
        if self.format not in FORMATS:
            raise UsageError(f"format must be one of {', '.join(FORMATS)}, not {self.format!r}")
        if self.placement not in get_args(Placement):
            raise UsageError(f"images must be one of {', '.join(get_args(Placement))}, not {self.placement!r}")
        if self.rounds < 1:
            raise UsageError(f"rounds must be at least 1, not {self.rounds}")
        if self.review_limit < 0:
            raise UsageError(f"the review limit must be 0 or more, not {self.review_limit}")
        if METHODS[self.job.method].fit is None:
            fitting = " or ".join(method.name for method in METHODS.values() if method.fit)
            raise UsageError(f"{self.job.method} looks at each image alone and knows no noise: clean with {fitting}")
