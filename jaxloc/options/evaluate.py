"""Options of ``evaluate`` and ``reproduce``."""

import dataclasses
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.localizers import METHODS
from jaxloc.options.network import NetworkOptions
from jaxloc.options.option import Option, Options, Typed, option, same_as

_RULES = "What counts as right"
_MORE = "More measures"
_SURE = "How sure the figures are"
_DRAWS = "bootstrap draws and their seed must be whole numbers from 0"


def _score(text: str, one: Option) -> float | Literal["best"]:
    if text == "best":
        return "best"
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"--threshold must be a score or best, not {text!r}") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluateOptions(Options):
    """Which boxes count as correct, and which measures are computed; the defaults are those of the DDT papers."""

    thresholds: tuple[float, ...] = option(
        (0.5,),
        "Intersection over union that must be exceeded; repeat it for a column each.",
        "--iou",
        panel=_RULES,
        first=True,
    )
    at_least: bool = option(False, "An overlap equal to --iou is enough, as in ImageNet.", panel=_RULES)
    voc_inclusive: bool = option(
        False,
        "Count corners as PASCAL VOC does: each box is one pixel longer than the difference of its corners.",
        panel=_RULES,
        first=True,
    )
    include_difficult: bool = option(
        False, "Count objects flagged difficult as well; the papers leave them out.", panel=_RULES
    )
    include_truncated: bool = option(
        False, "Count objects flagged truncated as well; the papers leave them out.", panel=_RULES
    )
    any_class: bool = option(False, "Compare boxes whatever their class, as one class.", panel=_RULES, first=True)
    splits: tuple[str, ...] = option(
        (), "Only images of this split of the truth, such as test; repeatable.", "--split", panel=_RULES, first=True
    )
    classes: tuple[str, ...] = option(
        (),
        "Only this class, such as one of several that the truth has; repeatable.",
        "--class",
        metavar="NAME",
        panel=_RULES,
        first=True,
    )
    pcp: bool = option(
        False,
        "Share of all true boxes that are found, and the mean overlap of each with the nearest predicted one.",
        panel=_MORE,
    )
    top_one: bool = option(
        False,
        "A classifier predicted the classes: GT-known localisation, and top-1, where the class must be right too.",
        "--top-1",
        panel=_MORE,
    )
    point: bool = option(
        False,
        "Average precision of points: the best finding of a class in an image is right if it points inside an object.",
        panel=_MORE,
    )
    detection: bool = option(False, "Average precision of boxes, at each --iou.", panel=_MORE)
    recalls: Literal["area", "11", "101"] = option(
        "area",
        "How --point and --detection average precision: the area under the curve (VOC since 2010), at 11 recalls (VOC "
        "2007) or at 101 (COCO).",
        panel=_MORE,
    )
    rank_by: Literal["probability", "score"] = option(
        "probability",
        "What --point and --detection rank findings by: the probability of their class, where a classifier gave one, "
        "or their score.",
        panel=_MORE,
    )
    co_occurrence: str | None = option(
        None,
        "Before --point and --detection rank, raise the scores of an image's classes by those of classes that occur "
        "with them in this labelled set, such as the training images, of any form of TRUTH.",
        panel=_MORE,
        metavar="TRUTH",
    )
    co_occurrence_weight: float = option(
        0.1, "Weight of other classes' scores in --co-occurrence.", least=0, panel=_MORE
    )
    masks: bool = option(False, "Jaccard similarity and precision of pixel masks.", panel=_MORE)
    parts: bool = option(
        False, "PCP of parts; parts without names are matched to the true ones once for each image set.", panel=_MORE
    )
    groups: bool = option(
        False,
        "The sets are groups that `jaxloc discover` found: purity, NMI and BCubed beside the true classes, and boxes "
        "counted for the class of their image.",
        panel=_MORE,
    )
    counts: bool = option(
        False,
        "Counts of objects, as for automatic checkout (RPC): cAcc, ACD, mCCD and mCIoU, with COCO's mAP50 and mmAP; "
        "by level of clutter where the truth has levels.",
        panel=_MORE,
    )
    count_threshold: float | Literal["best"] | None = option(
        None,
        "The least score of a box that --counts counts, or best: the one that counts most images right, chosen on "
        "these images as RPC's leaderboard does. [default: that of `checkout count`, where it wrote PREDICTIONS, else "
        "every box]",
        "--threshold",
        panel=_MORE,
        metavar="SCORE",
        typed=Typed(str, None, _score),
    )
    samples: int = option(
        0,
        "Number of bootstrap draws for confidence intervals, such as 1000; 0 computes none.",
        "--bootstrap",
        panel=_SURE,
        first=True,
    )
    seed: int = option(0, "Seed of the draws.", panel=_SURE)
    confidence: float = option(
        0.95, "Share of the draws within an interval.", above=0, below=1, label="the confidence", panel=_SURE
    )

    def __post_init__(self) -> None:
        super().__post_init__()
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
            raise UsageError(_DRAWS)
        if self.co_occurrence is not None and not (self.point or self.detection):
            raise UsageError("--co-occurrence changes what --point and --detection rank: add one of them")
        if self.count_threshold is not None and not self.counts:
            raise UsageError("--threshold says which boxes --counts counts: add it")

    def named(self, measure: str, threshold: float) -> str:
        """The name of a measure's column: with its threshold if there are several."""
        return measure if len(self.thresholds) == 1 else f"{measure}@{threshold:g}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproduceOptions(Options):
    """What a reproduction can be told; everything else is the paper's."""

    weights: str | None = option(
        None,
        "Network weights: a name or a weights file. [default: the paper's network]",
        "--weights",
        "-w",
        setting="weights",
        first=True,
    )
    methods: tuple[str, ...] = option(
        ("ddt",),
        "Rows of the DDT paper's tables of boxes, each a job of its own: ddt, ddt+, scda; repeatable.",
        "--method",
        setting="methods",
        first=True,
    )
    limit: int | None = option(
        None,
        "For a try, take only the first N images of each class; the result is marked as such.",
        setting="limit",
        first=True,
    )
    samples: int = option(
        1000, "Number of bootstrap draws for the confidence intervals; 0 computes none.", "--bootstrap", setting="draws"
    )
    seed: int = option(0, "Seed of the draws and of codebooks.", setting="seed")
    overwrite: bool = option(False, "Start over if the folder holds another reproduction.", first=True)
    batch: int | None = same_as(NetworkOptions, "batch")
    devices: int | None = same_as(NetworkOptions, "devices")
    workers: int | None = same_as(NetworkOptions, "workers")
    dtype: str = same_as(NetworkOptions, "dtype")
    conv: str = same_as(NetworkOptions, "conv")
    feature_cache: int = same_as(NetworkOptions, "feature_cache")
    allow_download: bool | None = same_as(NetworkOptions, "allow_download")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit is not None and self.limit < 2:
            raise UsageError(f"--limit must leave at least 2 images of a class, not {self.limit}")
        if self.samples < 0 or self.seed < 0:
            raise UsageError(_DRAWS)
        known = [
            name for name, method in METHODS.items() if method.fit is not None or name == "scda"
        ]  # of DDT's tables
        if not self.methods or not set(self.methods) <= set(known) or len(set(self.methods)) < len(self.methods):
            raise UsageError(f"methods must be one or more of {', '.join(known)}, not {', '.join(self.methods)}")
