"""The tables that can be reproduced: data sets, networks, and what the paper leaves open."""

import dataclasses
import difflib
from typing import Literal

from jaxloc.errors import UsageError
from jaxloc.report.tables import text_table

Kind = Literal["single", "colocalization", "noise", "cost", "retrieval"]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a paper.

    Attributes:
        name: on the command line.
        kind: how it is measured.
        title: what is measured on what.
        source: the paper and the place in it.
        sets: data sets it is measured on, any one of them at a time.
        splits: of them that are used; empty means all.
        architecture: the paper's network.
        images: number of images through the network for each data set, flips included.
        open: what the paper leaves open, and the choice made here.
    """

    name: str
    kind: Kind
    title: str
    source: str
    sets: tuple[str, ...]
    splits: tuple[str, ...]
    architecture: str
    images: tuple[int, ...]
    open: tuple[str, ...] = ()


SECONDS = {"vgg16": 0.46, "vgg19": 0.6}
"""Seconds an image of 500 × 375 pixels takes on two CPU cores, everything included.

``jaxloc reproduce ddt-voc07 FILE --weights vgg16 --method ddt --method scda`` on 243 such images took 449 s of the
two cores' time; VGG-19 computes a good quarter more."""

_SCDA = "Wei et al., SCDA, arXiv:1604.04994v1"
_DDT = "Wei et al., DDT, IJCAI 2017"
_FINE_GRAINED = ("cub200", "dogs", "flowers102", "pets")

_BOX = (
    "The largest 8-connected component is taken at the feature map's resolution and enlarged by nearest neighbours (as "
    "the authors' code does, not the paper's figure)."
)
_SIGN = (
    "The paper does not fix the eigenvector's sign; here the indicator correlates positively with the aggregation map."
)
_SIZE = "Images keep their size, but a shorter side above {} pixels is shrunk to that (the authors' code)."
_FLAGS = (
    "Objects flagged difficult or truncated are no target either in images that hold others; the paper only says "
    "that images without others are excluded."
)
_RETRIEVAL = (
    _SIZE.format(700),
    "Which images PCA, SVD and codebooks are fitted on is not said: here on the gallery alone, codebooks on at most "
    "1,000 of its images.",
    "SPoC and CroW are PCA-whitened to the 256 dimensions that the table gives; the paper does not say how.",
)

TABLES: dict[str, Table] = {
    one.name: one
    for one in (
        Table(
            "scda-table1",
            "single",
            "whole objects that SCDA localises (IoU > 0.5)",
            f"{_SCDA}, table 1",
            ("cub200", "dogs"),
            ("test",),
            "vgg16",
            (5794, 8580),
            (
                _SIZE.format(700),
                _BOX,
                "An image counts as right if its box matches any object in it; the paper does not say what counts "
                "where an image holds several (Stanford Dogs).",
            ),
        ),
        Table(
            "scda-table3",
            "retrieval",
            "top-1 and top-5 mAP of fine-grained retrieval, by descriptor",
            f"{_SCDA}, table 3 (its VLAD, FV and SCDA are table 2's)",
            _FINE_GRAINED,
            (),
            "vgg16",
            (23576, 41160, 16378, 14698),
            (
                *_RETRIEVAL,
                "The paper lists its fc8 with 4,096 dimensions; VGG-16's fc8 has 1,000, and these are compared here.",
            ),
        ),
        Table(
            "scda-table4",
            "retrieval",
            "top-1 and top-5 mAP of compressed SCDA_flip+",
            f"{_SCDA}, table 4",
            _FINE_GRAINED,
            (),
            "vgg16",
            (23576, 41160, 16378, 14698),
            _RETRIEVAL[:2],
        ),
        Table(
            "ddt-table1",
            "colocalization",
            "CorLoc on Object Discovery",
            f"{_DDT}, table 1",
            ("object-discovery",),
            (),
            "vgg19",
            (300,),
            (
                _SIZE.format(800),
                _BOX,
                _SIGN,
                "Images without the object are among those DDT is fitted on and not among those counted, as the "
                "paper's percentages are shares of 82, 89 and 93.",
            ),
        ),
        Table(
            "ddt-voc07",
            "colocalization",
            "CorLoc on PASCAL VOC 2007 trainval",
            f"{_DDT}, table 2",
            ("voc07",),
            ("trainval",),
            "vgg19",
            (3550,),
            (_SIZE.format(800), _BOX, _SIGN, _FLAGS),
        ),
        Table(
            "ddt-voc12",
            "colocalization",
            "CorLoc on PASCAL VOC 2012 trainval",
            f"{_DDT}, table 3",
            ("voc12",),
            ("trainval",),
            "vgg19",
            (7838,),
            (_SIZE.format(800), _BOX, _SIGN, _FLAGS),
        ),
        Table(
            "ddt-imagenet",
            "colocalization",
            "CorLoc on six ImageNet classes outside ILSVRC",
            f"{_DDT}, table 5",
            ("imagenet-subsets",),
            (),
            "vgg19",
            (771,),
            (_SIZE.format(800), _BOX, _SIGN, "The paper does not name the synsets: see `jaxloc datasets`."),
        ),
        Table(
            "ddt-noise",
            "noise",
            "telling images without the object by the share of positive indicator values",
            f"{_DDT}, section 4.5 and figure 4",
            ("object-discovery",),
            (),
            "vgg19",
            (300,),
            (
                _SIZE.format(800),
                _SIGN,
                "The paper draws ROC curves and prints no number of them; --json holds the curves' points.",
                "The thresholds 0 and 0.1 are those of the extended paper (section 4.6).",
            ),
        ),
        Table(
            "ddt-cost",
            "cost",
            "what DDT costs on the aeroplanes of VOC 2007",
            f"{_DDT}, section 4.3",
            ("voc07",),
            ("trainval",),
            "vgg19",
            (171,),
            (
                _SIZE.format(800),
                "Extraction is the network alone, compiled and warm, on decoded images; the paper does not say what "
                "it counts.",
                "The transform is mean, covariance, eigenvectors and the indicator of every descriptor, from the "
                "device's memory.",
            ),
        ),
    )
}
"""In the order they are listed."""


def find_table(name: str) -> Table:
    """The table of a name.

    Raises:
        UsageError: there is none.
    """
    if name in TABLES:
        return TABLES[name]
    close = difflib.get_close_matches(name, TABLES, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(TABLES)}"
    raise UsageError(f"{name}: no table of this name; {hint} (`jaxloc reproduce` lists them)")


def overview() -> str:
    """The tables, the data that each needs, and an estimate of its time."""
    rows = []
    for one in TABLES.values():
        for data, images in zip(one.sets, one.images, strict=True):
            first = data == one.sets[0]
            where = data + (f"/{'+'.join(one.splits)}" if one.splits else "")
            about = _time(images * SECONDS[one.architecture])
            rows.append([*((one.name, one.title) if first else ("", "")), where, one.architecture, about])
    return "\n".join(
        [
            text_table(["table", "what it measures", "data", "network", "about"], rows),
            f"Times are for two CPU cores, at {SECONDS['vgg16']:g} s an image with VGG-16 and {SECONDS['vgg19']:g} s "
            "with VGG-19; --method scda costs as much again.",
            "`jaxloc datasets NAME` tells how to get the data; then `jaxloc reproduce TABLE NAME:FOLDER`.",
        ]
    )


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
