"""Results of an evaluation: figures by class and over all, and named mismatches."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxloc.metrics import Interval, Roc
from jaxloc.options import EvaluateOptions
from jaxloc.run.evaluation.counts import CountScores
from jaxloc.run.evaluation.groups import GroupScores


class Note(NamedTuple):
    """A problem of the predictions or the truth, its treatment, and the images or classes it concerns: none for all."""

    kind: str
    text: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.names:
            return f"{self.text}."
        return f"{self.text}: {len(self.names)}, such as {self.names[0]}."


class Figure(NamedTuple):
    """One number.

    Attributes:
        value: per cent, or in [0, 1] for an AUC; NaN where it cannot be measured.
        images: how many images it is measured on.
        interval: of confidence; ``None`` if not asked for.
        reason: why ``value`` is NaN; else empty.
    """

    value: float
    images: int
    interval: Interval | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """One class.

    Attributes:
        images: images of the truth that hold it and count.
        correct: of them, how many were localised at the first threshold.
        missing: of them, how many the predictions do not list at all (counted as wrong).
        empty: of them, how many are listed without a box of the class (counted as wrong).
        excluded: images left out because all of their objects of the class are flagged.
        noisy_images: images of the class without the object that have a noise score.
        figures: by the name of the measure.
    """

    category: str
    images: int
    correct: int
    missing: int = 0
    empty: int = 0
    excluded: int = 0
    noisy_images: int = 0
    figures: Mapping[str, Figure] = dataclasses.field(default_factory=dict)

    @property
    def corloc(self) -> float:
        """CorLoc in per cent at the first threshold."""
        return _corloc(self.figures)

    @property
    def noise_auc(self) -> float:
        """How well a low noise score tells images without the object; NaN where there are none."""
        return self.figures["noise AUC"].value if "noise AUC" in self.figures else math.nan


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results by class and over all.

    Attributes:
        classes: in order of name.
        mean: by measure, the mean over the classes that have it.
        overall: by measure, over all images whatever their class.
        notes: problems of predictions and truth.
        noise: by class, the ROC curve of the noise score, where there are both kinds of image.
        assigned: by image set, by the name of a predicted part, the true part it was taken for.
        maps: whether heat maps were measured as well.
        groups: how well the groups of a pile agree with the classes, if asked.
        counts: how well objects are counted, if asked.
    """

    classes: Sequence[ClassScore]
    mean: Mapping[str, Figure]
    overall: Mapping[str, Figure]
    options: EvaluateOptions
    notes: Sequence[Note] = ()
    noise: Mapping[str, Roc] = dataclasses.field(default_factory=dict)
    assigned: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    maps: bool = False
    groups: GroupScores | None = None
    counts: CountScores | None = None

    @property
    def mean_corloc(self) -> float:
        """Mean over classes of CorLoc in per cent at the first threshold."""
        return _corloc(self.mean)

    @property
    def unknown(self) -> list[str]:
        """Predicted images that the truth does not list; they were not counted."""
        return [name for note in self.notes if note.kind == "unknown images" for name in note.names]


def _corloc(figures: Mapping[str, Figure]) -> float:
    return next((figure.value for name, figure in figures.items() if name.startswith("CorLoc")), math.nan)
