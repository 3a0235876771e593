"""Options of ``clean``."""

import dataclasses
import math
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.options.localize import LocalizeOptions
from jaxloc.options.option import Option, Options, Typed, option
from jaxloc.report.exports.formats import FORMATS

KNEE: Literal["knee"] = "knee"
ALIGNMENT: Literal["alignment"] = "alignment"
_NOISE = f"a share of cells, such as 0.1, {KNEE} or {ALIGNMENT}"
_KEEPING = "What is kept"


def _noise(text: str, one: Option) -> float | str:
    return text if text in (KNEE, ALIGNMENT) else _number(text, "--noise", _NOISE)


def _bits(text: str, one: Option) -> int | None:
    if text == "none":
        return None
    value = _number(text, "--duplicates", "a number of bits, such as 4, or none")
    if not value.is_integer():
        raise UsageError(f"--duplicates must be a whole number of bits, or none, not {text!r}")
    return int(value)


def _number(text: str, flag: str, wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise UsageError(f"{flag} must be {wanted}, not {text!r}")
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class CleanOptions(Options):
    """How a pile of web photographs becomes a data set.

    ``job`` is how DDT is run; its noise threshold and its report are not used.
    """

    format: str = option(
        "coco",
        "Format of the data set, in OUT/dataset.",
        "--format",
        "-f",
        choices=[name for name, format in FORMATS.items() if format.holds_boxes],
        first=True,
    )
    noise: float | Literal["knee", "alignment"] = option(
        ALIGNMENT,
        "alignment drops images whose positive cells do not deviate from the class's mean as those of its other images "
        "do. A number drops images whose object share (share of positive cells) is at or below it; the paper uses 0 "
        "and 0.1. knee finds such a threshold in the shares of each class.",
        typed=Typed(str, ALIGNMENT, _noise),
        panel=_KEEPING,
        first=True,
    )
    placement: Literal["copy", "link"] = option(
        "copy",
        "coco, voc, yolo: how the kept images get into OUT/dataset: copies, or hard links (no space, but changing one "
        "in the data set changes your original).",
        "--placement",
        "--pictures",
        label="images",
        first=True,
    )
    found_only: bool = option(
        True,
        "Leave out images that you keep although nothing was found in them, or have them in the data set as examples "
        "without the object.",
        "--found-only/--with-empty",
        panel=_KEEPING,
        first=True,
    )
    duplicates: int | None = option(
        4,
        "Images of like colours whose 64-bit hashes differ in at most this number of bits are duplicates; none does "
        "not look for duplicates.",
        typed=Typed(str, "4", _bits),
        panel=_KEEPING,
        first=True,
    )
    rounds: int = option(
        1, "Number of fits; each further one uses the images that the previous one kept.", least=1, panel=_KEEPING
    )
    review_limit: int = option(
        2000, "Maximum number of images in review.html, the most doubtful first.", least=0, label="the review limit"
    )
    job: LocalizeOptions = dataclasses.field(default_factory=LocalizeOptions)

    def __post_init__(self) -> None:
        from jaxloc.data.duplicates import MOST_BITS

        super().__post_init__()
        if self.noise not in (KNEE, ALIGNMENT) and not (math.isfinite(self.noise) and 0 <= self.noise < 1):
            raise UsageError(
                f"noise must be a share of cells, from 0 to below 1, {KNEE} or {ALIGNMENT}, not {self.noise}"
            )
        if self.duplicates is not None and not 0 <= self.duplicates <= MOST_BITS:
            raise UsageError(f"duplicates must be from 0 to {MOST_BITS} bits, or none, not {self.duplicates}")
        if METHODS[self.job.method].fit is None:
            fitting = " or ".join(method.name for method in METHODS.values() if method.fit)
            raise UsageError(f"{self.job.method} looks at each image alone and knows no noise: clean with {fitting}")
