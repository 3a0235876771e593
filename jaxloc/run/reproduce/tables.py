"""The tables that can be reproduced: data sets, networks, and what the paper leaves open."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence

from jaxloc.errors import UsageError
from jaxloc.report.tables import text_table


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of a paper.

    Attributes:
        name: on the command line.
        kind: how it is measured, of ``making.MEASURES``.
        source: the paper and the place in it.
        images: by data set, any one of which is used at a time, the number through the network, flips included.
        splits: of them that are used; empty means all.
        architecture: the paper's network.
        open: what the paper leaves open, and the choice made here.
    """

    name: str
    kind: str
    title: str
    source: str
    images: Mapping[str, int]
    splits: Sequence[str]
    architecture: str
    open: Sequence[str]

    @property
    def sets(self) -> list[str]:
        """The data sets."""
        return list(self.images)


SECONDS = {"vgg16": 0.46, "vgg19": 0.6}
"""Seconds an image of 500 × 375 pixels takes on two CPU cores, everything included.

``jaxloc reproduce ddt-voc07 FILE --weights vgg16 --method ddt --method scda`` on 243 such images took 449 s of the
two cores' time; VGG-19 computes a good quarter more."""

_FINE_GRAINED = {"cub200": 23576, "dogs": 41160, "flowers102": 16378, "pets": 14698}
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
    "Which images PCA, SVD and codebooks are fitted on is not said: here on the gallery alone, codebooks on at most "
    "1,000 of its images.",
    "SPoC and CroW are PCA-whitened to the 256 dimensions that the table gives; the paper does not say how.",
)


def _scda(name: str, kind: str, title: str, place: str, images: Mapping[str, int], *open: str) -> Table:
    source = f"Wei et al., SCDA, arXiv:1604.04994v1, {place}"
    splits = ("test",) if kind == "single" else ()
    return Table(name, kind, title, source, images, splits, "vgg16", (_SIZE.format(700), *open))


def _ddt(name: str, kind: str, title: str, place: str, data: str, images: int, *open: str) -> Table:
    splits = ("trainval",) if data.startswith("voc") else ()
    source = f"Wei et al., DDT, IJCAI 2017, {place}"
    return Table(name, kind, title, source, {data: images}, splits, "vgg19", (_SIZE.format(800), *open))


_ALL = (
    _scda(
        "scda-table1",
        "single",
        "whole objects that SCDA localises (IoU > 0.5)",
        "table 1",
        {"cub200": 5794, "dogs": 8580},
        _BOX,
        "An image counts as right if its box matches any object in it; the paper does not say what counts where an "
        "image holds several (Stanford Dogs).",
    ),
    _scda(
        "scda-table2",
        "retrieval",
        "top-1 and top-5 mAP by encoding of the selected descriptors",
        "table 2",
        {"cub200": 11788, "dogs": 20580},
        _RETRIEVAL[0],
    ),
    _scda(
        "scda-table3",
        "retrieval",
        "top-1 and top-5 mAP of fine-grained retrieval, by descriptor",
        "table 3 (its VLAD, FV and SCDA are table 2's)",
        _FINE_GRAINED,
        *_RETRIEVAL,
        "The paper lists its fc8 with 4,096 dimensions; VGG-16's fc8 has 1,000, and these are compared here.",
    ),
    _scda(
        "scda-table4",
        "retrieval",
        "top-1 and top-5 mAP of compressed SCDA_flip+",
        "table 4",
        _FINE_GRAINED,
        _RETRIEVAL[0],
    ),
    _scda(
        "scda-table5",
        "classification",
        "accuracy of a linear SVM on SCDA_flip+ of the fine-tuned network",
        "table 5",
        {name: 3 * images for name, images in _FINE_GRAINED.items()},  # training costs about twice as much
        "The paper does not say how it fine-tunes; here every layer, with horizontal flips, for 10 epochs of SGD on "
        "images whose shorter side is at most 224 pixels.",
        "The paper keeps VGG-16's fully connected layers while fine-tuning; here the head reads the average of pool5, "
        "so that images keep their shape.",
        "The paper does not say how it chose the SVM's C; here by validation on the training images.",
    ),
    _ddt(
        "ddt-table1",
        "colocalization",
        "CorLoc on Object Discovery",
        "table 1",
        "object-discovery",
        300,
        _BOX,
        _SIGN,
        "Images without the object are among those DDT is fitted on and not among those counted, as the paper's "
        "percentages are shares of 82, 89 and 93.",
    ),
    *(
        _ddt(f"ddt-{data}", "colocalization", f"CorLoc on {title} trainval", place, data, images, _BOX, _SIGN, _FLAGS)
        for data, title, place, images in (
            ("voc07", "PASCAL VOC 2007", "table 2", 3550),
            ("voc12", "PASCAL VOC 2012", "table 3", 7838),
        )
    ),
    _ddt(
        "ddt-wsol",
        "colocalization",
        "CorLoc on PASCAL VOC 2007 trainval beside weakly supervised methods",
        "table 4",
        "voc07",
        3550,
        _BOX,
        _SIGN,
        _FLAGS,
        "The other methods also take images without the object; their numbers are those that the paper prints.",
    ),
    _ddt(
        "ddt-imagenet",
        "colocalization",
        "CorLoc on six ImageNet classes outside ILSVRC",
        "table 5",
        "imagenet-subsets",
        771,
        _BOX,
        _SIGN,
        "The paper does not name the synsets: see `jaxloc datasets`.",
    ),
    _ddt(
        "ddt-noise",
        "noise",
        "telling images without the object by the share of positive indicator values",
        "section 4.5 and figure 4",
        "object-discovery",
        300,
        _SIGN,
        "The paper draws ROC curves and prints no number of them; --json holds the curves' points.",
        "The thresholds 0 and 0.1 are those of the extended paper (section 4.6).",
    ),
)
_HEAD = (
    "The classifier is linear in the average of the last map of frozen features, learnt with sigmoid cross entropies; "
    "the paper learns two fully connected layers and tunes those below."
)
_HALVES = "Of a COCO file, every other image of each class is learnt from and the rest measured on."
_HEAT = (
    "The heat map's threshold is 0.4 of its maximum for every class; the paper chooses one for each class on "
    "validation images."
)


def _beam(name: str, kind: str, title: str, place: str, passes: Mapping[str, int], *open: str) -> Table:
    source = f"Bency et al., ECCV 2016, {place}"
    return Table(name, kind, title, source, passes, (), "vgg16", (_HEAD, _HEAT, _HALVES, *open))


# A pass at 224 × 224 pixels costs a quarter of one at 500 × 375, and an image takes 70 for each class.
_ASKING = (
    _beam(
        "beam-point",
        "points",
        "average precision of points that beam search finds, learnt from labels",
        "tables 1 and 2",
        {"voc12": 5823 * 20 * 70 // 4, "coco": 40504 * 80 * 70 // 4},
        "Points are ranked by the classifier's probability of the image (table 1); the paper's text also tells of the "
        "map's maximum.",
    ),
    _beam(
        "beam-detection",
        "detections",
        "average precision of boxes that beam search finds, learnt from labels",
        "tables 3 and 4",
        {"voc07": 4952 * 20 * 70 // 4, "voc12": 5823 * 20 * 70 // 4},
        "Each image has one box of each class, of the heat map's largest component; the paper takes all components.",
    ),
    Table(
        "eiss-curves",
        "curves",
        "scores of EISS's regions, cropped and erased, and their IoU against the iteration",
        "EISS, section 4.1 and figure 4",
        {"voc12": 1900 * 2 * 1022 // 4},
        ("train",),
        "alexnet",
        (
            "16 random windows are tried in each iteration, the paper's faster way; its curves are of all windows.",
            "The paper draws curves and prints no number of them; --json holds ours.",
        ),
    ),
)
_CHECKOUT = (
    Table(
        "rpc-table3",
        "checkout",
        "products counted in checkout images, learnt from images of each alone",
        "Wei et al., RPC, arXiv:1901.07249, table 3",
        {"rpc": 53739 + 3 * 24000},
        (),
        "vgg16",
        (
            "The detector is a small head on VGG-16's relu4_3; the paper's is a feature pyramid network on ResNet-50.",
            "Render is trained on composed images with simulated light; the paper's is a CycleGAN's, trained on real "
            "checkout images.",
            "The threshold of scores is the one that counts most test images right, as on the leaderboard.",
            "Products are cut out of the exemplars' boxes by a flood fill, or by DDT and a CRF; the paper's by "
            "saliency and a CRF.",
        ),
    ),
)
_LEARNING = (
    Table(
        "fewshot-table2",
        "few-shot",
        "accuracy of novel classes by one and five exemplars",
        "Wei et al., FSFG, TIP 2019, table 2",
        {"cub200": 11788, "dogs": 20580, "cars": 16185},
        (),
        "alexnet",
        (
            "All novel classes at once, in 20 draws with 15 queries a class; the paper does not say how many queries "
            "it takes, nor whether its accuracy is of all classes.",
            "The division into base and novel classes is random, as in the paper, and another one.",
            "The features are of a frozen network, on 64 axes; the paper's are fine-tuned on the base classes, 65,536 "
            "numbers an image.",
            "k-NN is the nearest mean here; with one exemplar the two are the same.",
        ),
    ),
    Table(
        "maskcnn-parts",
        "parts",
        "PCP of head and torso, and accuracy by stream",
        "Wei et al., Mask-CNN, Pattern Recognition 2018, tables 2 and 4",
        {"cub200": 3 * 11788},
        (),
        "vgg16",
        (
            "Parts are learnt by a light head on frozen maps, and classes by a linear classifier; the paper fine-tunes "
            "an FCN and all three streams.",
            "Images have a longer side of 224 pixels; the paper's have 448 pixels a side.",
        ),
    ),
)
_DISCOVERY = Table(
    "discovery-table1",
    "landmarks",
    "mAP of region descriptors, by cosine and by diffusion",
    "Siméoni et al., Unsupervised deep object discovery, WACV 2018, table 1",
    {"instre": 5 * 29793, "oxford5k": 5 * 5118},
    (),
    "vgg16",
    (
        "The network is ImageNet's; the paper's is fine-tuned on landmarks (Radenović et al., ECCV 2016).",
        "Vectors are compared as they are; the paper learns a whitening on another, labelled set.",
        "The paper's uniform regions are R-MAC's.",
        "For Oxford 105k, index the 100,000 distractors into a gallery as well, and `jaxloc evaluate --retrieval` it.",
    ),
)
_TUNED = (
    "The head is learnt on frozen maps of images whose shorter side is 224 pixels; the papers tune the whole network."
)
_REID = tuple(
    Table(
        name,
        "identities",
        f"vehicles found again on {title}",
        source,
        {data: images // 4},
        splits,
        "vgg16",
        (_TUNED, *more),
    )
    for name, title, source, data, images, splits, more in (
        (
            "rnnha-table1",
            "VeRi-776",
            "Wei et al., RNN-HA, ACCV 2018, table 1",
            "veri776",
            49357,
            (),
            ("The kinds are VeRi's nine types; the paper's are models.",),
        ),
        (
            "rnnha-table2",
            "VehicleID",
            "Wei et al., RNN-HA, ACCV 2018, table 2, and Liu et al., DRDL, CVPR 2016",
            "vehicleid",
            113346 + 19777,
            ("train", "test_800", "test_1600", "test_2400"),
            ("DRDL's network is VGG_CNN_M_1024.",),
        ),
    )
)
TABLES: dict[str, Table] = {one.name: one for one in (*_ALL, _DISCOVERY, *_ASKING, *_CHECKOUT, *_LEARNING, *_REID)}
"""In the order they are listed."""


def find_table(name: str) -> Table:
    """The table of a name; raises ``UsageError`` if there is none."""
    if name in TABLES:
        return TABLES[name]
    close = difflib.get_close_matches(name, TABLES, 1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(TABLES)}"
    raise UsageError(f"{name}: no table of this name; {hint} (`jaxloc reproduce` lists them)")


def overview() -> str:
    """The tables, the data that each needs, and an estimate of its time."""
    rows = []
    for one in TABLES.values():
        named = [one.name, one.title]
        for data, images in one.images.items():
            where = data + (f"/{'+'.join(one.splits)}" if one.splits else "")
            seconds = SECONDS.get(one.architecture)
            rows.append([*named, where, one.architecture, _time(images * seconds) if seconds else "–"])
            named = ["", ""]
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
