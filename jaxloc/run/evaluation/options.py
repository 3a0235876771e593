"""What is measured, and by which rules."""

import dataclasses
import math

from jaxloc.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Rules and measures; the defaults are those of the DDT papers.

    Attributes:
        thresholds: intersections over union that must be exceeded; each gives a column.
        at_least: an intersection over union equal to the threshold is enough.
        voc_inclusive: the corner ``x1, y1`` belongs to the box, as PASCAL VOC's own programs count.
        include_difficult: objects flagged difficult count as well.
        include_truncated: objects flagged truncated count as well.
        splits: only images of these parts of the data set; empty means all.
        classes: only these classes; empty means all.
        any_class: boxes are compared whatever their class, as one class ``"object"``.
        pcp: also the share of true boxes that are found.
        top_one: the predicted classes come from a classifier: also GT-known and top-1 localisation.
        masks: also Jaccard similarity and precision of masks.
        parts: also PCP of each part.
        samples: bootstrap draws for confidence intervals; 0 means none.
        seed: decides the draws.
        confidence: share of the draws that lie within an interval.

    Raises:
        UsageError: a value that makes no sense.
    """

    thresholds: tuple[float, ...] = (0.5,)
    at_least: bool = False
    voc_inclusive: bool = False
    include_difficult: bool = False
    include_truncated: bool = False
    splits: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    any_class: bool = False
    pcp: bool = False
    top_one: bool = False
    masks: bool = False
    parts: bool = False
    samples: int = 0
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not self.thresholds:
            raise UsageError("give at least one IoU threshold")
        for threshold in self.thresholds:
            if self.at_least and not 0 < threshold <= 1:
                raise UsageError(
                    f"an IoU threshold that has to be reached must be above 0 and at most 1, not {threshold}"
                )
            if not self.at_least and not 0 <= threshold < 1:
                raise UsageError(f"the IoU threshold must be from 0 to below 1, not {threshold}")
        if len(set(self.thresholds)) < len(self.thresholds):
            raise UsageError("an IoU threshold is given twice")
        if self.samples < 0 or self.seed < 0:
            raise UsageError("bootstrap draws and their seed must be whole numbers from 0")
        if not 0 < self.confidence < 1 or math.isnan(self.confidence):
            raise UsageError(f"the confidence must be between 0 and 1, not {self.confidence}")

    def named(self, measure: str, threshold: float) -> str:
        """The name of a measure's column: with its threshold if there are several."""
        return measure if len(self.thresholds) == 1 else f"{measure}@{threshold:g}"
