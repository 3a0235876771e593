"""The numbers of the papers' tables, as printed, in per cent. Nothing else in the project repeats them.

SCDA: Wei, Luo, Wu & Zhou, "Selective convolutional descriptor aggregation for fine-grained image retrieval",
arXiv:1604.04994v1, 2016; its table 5 as the authors' slides show it. DDT: Wei, Zhang, Li, Xie, Wu, Shen & Zhou, "Deep
descriptor transforming for image co-localization", IJCAI 2017. Beam search: Bency, Kwon, Lee, Karthikeyan & Manjunath,
"Weakly supervised localization using deep feature maps", arXiv:1603.00489v2, 2016. RPC: Wei, Cui, Yang, Wang & Liu,
"RPC: a large-scale retail product checkout dataset", arXiv:1901.07249, 2019. FSFG: Wei, Wang, Liu, Shen & Wu,
"Piecewise classifier mappings", TIP 2019. Mask-CNN: Wei, Xie, Wu & Shen, Pattern Recognition 2018. Classes and data
sets have jaxloc's names, not their short ones.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Scores(NamedTuple):
    """A method's number for each class, their mean as printed, and the digits printed behind the point."""

    classes: dict[str, float]
    mean: float
    digits: int = 2


VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""In the order of the papers' columns."""


def _scores(classes: Sequence[str], mean: float, *numbers: float) -> Scores:
    return Scores(dict(zip(classes, numbers, strict=True)), mean, 1)


def _voc(mean: float, numbers: str) -> Scores:
    """The numbers of VOC's classes, with spaces between."""
    return _scores(VOC_CLASSES, mean, *map(float, numbers.split()))


SCDA_TABLE_1 = {"cub200": 76.79, "dogs": 78.86}
"""SCDA, table 1 (section 3.1): whole objects localised with IoU > 0.5."""

_RETRIEVAL_SETS = ("cub200", "dogs", "flowers102", "pets")
Precisions = tuple[float, float]


def _by_set(
    rows: dict[tuple[str, str], tuple[Precisions | None, ...]],
) -> dict[str, dict[tuple[str, str], Precisions]]:
    """Rows by data set, from a row of all data sets; ``None`` where the paper has no number."""
    return {
        name: {row: found for row, numbers in rows.items() if (found := numbers[place]) is not None}
        for place, name in enumerate(_RETRIEVAL_SETS)
    }


SCDA_TABLE_2 = _by_set(
    {
        ("vlad", "none"): ((55.92, 62.51), (69.28, 74.43), None, None),
        ("fv", "none"): ((52.04, 59.19), (68.37, 73.74), None, None),
        ("avg", "none"): ((56.42, 63.14), (73.76, 78.47), None, None),
        ("max", "none"): ((58.35, 64.18), (70.37, 75.59), None, None),
        ("scda", "none"): ((59.72, 65.79), (74.86, 79.24), None, None),
    }
)
"""SCDA, table 2 (section 3.2): top-1 and top-5 mAP by encoding of the selected descriptors."""

SCDA_TABLE_3 = _by_set(
    {
        ("fc8", "none"): ((39.90, 48.10), (66.51, 72.69), (55.37, 60.37), (82.26, 86.02)),
        ("fc8_truth", "none"): ((47.55, 55.34), (70.41, 76.61), None, None),
        ("fc8_box", "none"): ((45.24, 53.05), (68.78, 74.09), (57.16, 62.24), (85.55, 88.47)),
        ("pool5", "none"): ((57.54, 63.66), (69.98, 75.55), (70.73, 74.05), (85.09, 87.74)),
        ("fv", "none"): ((52.04, 59.19), (68.37, 73.74), (70.47, 73.60), (85.04, 87.09)),
        ("vlad", "none"): ((55.92, 62.51), (69.28, 74.43), (73.62, 76.86), (85.50, 87.94)),
        ("spoc", "pca-256"): ((34.79, 42.54), (48.80, 55.95), (71.36, 74.55), (60.86, 67.78)),
        ("spoc_center", "pca-256"): ((39.61, 47.30), (48.39, 55.69), (65.86, 70.05), (64.05, 71.22)),
        ("crow", "pca-256"): ((53.45, 59.69), (62.18, 68.33), (73.67, 76.16), (76.34, 80.10)),
        ("scda", "none"): ((59.72, 65.79), (74.86, 79.24), (75.13, 77.70), (87.63, 89.26)),
        ("scda+", "none"): ((59.68, 65.83), (74.15, 78.54), (75.98, 78.49), (87.99, 89.49)),
        ("scda_flip+", "none"): ((60.65, 66.75), (74.95, 79.27), (77.56, 79.77), (88.19, 89.65)),
    }
)
"""SCDA, table 3 (section 4.1): top-1 and top-5 mAP by data set, then by descriptor and post-processing."""

SCDA_TABLE_4 = _by_set(
    {
        ("scda_flip+", "pca-256:0"): ((60.48, 66.55), (74.63, 79.09), (76.38, 79.32), (87.82, 89.75)),
        ("scda_flip+", "pca-512:0"): ((60.37, 66.78), (74.76, 79.27), (77.15, 79.50), (87.46, 89.71)),
        ("scda_flip+", "svd-256:0"): ((60.34, 66.57), (74.79, 79.27), (76.79, 79.32), (87.84, 89.79)),
        ("scda_flip+", "svd-512:0"): ((60.41, 66.82), (74.72, 79.26), (77.10, 79.48), (87.41, 89.72)),
        ("scda_flip+", "svd-256"): ((62.29, 68.16), (71.57, 76.68), (80.74, 82.42), (85.47, 87.99)),
        ("scda_flip+", "svd-512"): ((62.13, 68.13), (71.07, 76.06), (81.44, 82.82), (85.23, 87.62)),
    }
)
"""SCDA, table 4 (section 4.1): top-1 and top-5 mAP of SCDA_flip+ after compression."""

SCDA_TABLE_5 = {"cub200": 80.5, "dogs": 78.7, "flowers102": 92.1, "pets": 91.0}
"""SCDA, table 5 (section 4.3): accuracy of a linear SVM on SCDA_flip+ of the fine-tuned network."""

DDT_TABLE_1 = {
    "ddt": Scores({"airplane": 91.46, "car": 95.51, "horse": 77.42}, 88.13),
    "scda": Scores({"airplane": 87.80, "car": 86.52, "horse": 75.37}, 83.20),
}
"""DDT, table 1 (section 4.2): CorLoc on Object Discovery."""

DDT_VOC_2007 = {
    "ddt": _voc(
        46.9, "67.3 63.3 61.3 22.7 8.5 64.8 57.0 80.5 9.4 49.0 22.5 72.6 73.8 69.0 7.2 15.0 35.3 54.7 75.0 29.4"
    ),
    "scda": _voc(
        29.5, "54.4 27.2 43.4 13.5 2.8 39.3 44.5 48.0 6.2 32.0 16.3 49.8 51.5 49.7 7.7 6.1 22.1 22.6 46.4 6.1"
    ),
}
"""DDT, table 2 (section 4.2): CorLoc on VOC 2007."""

DDT_WSOL = {
    "Shi et al., 2013": _voc(
        36.2, "67.3 54.4 34.3 17.8 1.3 46.6 60.7 68.9 2.5 32.4 16.2 58.9 51.5 64.6 18.2 3.1 20.9 34.7 63.4 5.9"
    ),
    "Cinbis et al., 2015": _voc(
        38.8, "56.6 58.3 28.4 20.7 6.8 54.9 69.1 20.8 9.2 50.5 10.2 29.0 58.0 64.9 36.7 18.7 56.5 13.2 54.9 59.4"
    ),
    "Wang et al., 2015": _voc(
        40.2, "37.7 58.8 39.0 4.7 4.0 48.4 70.0 63.7 9.0 54.2 33.3 37.4 61.6 57.6 30.1 31.7 32.4 52.8 49.0 27.8"
    ),
    "Bilen et al., 2015": _voc(
        43.7, "66.4 59.3 42.7 20.4 21.3 63.4 74.3 59.6 21.1 58.2 14.0 38.5 49.5 60.0 19.8 39.2 41.7 30.1 50.2 44.1"
    ),
    "Ren et al., 2016": _voc(
        43.9, "79.2 56.9 46.0 12.2 15.7 58.4 71.4 48.6 7.2 69.9 16.7 47.4 44.2 75.5 41.2 39.6 47.4 32.2 49.8 18.6"
    ),
    "Wang et al., 2014": _voc(
        47.7, "80.1 63.9 51.5 14.9 21.0 55.7 74.2 43.5 26.2 53.4 16.3 56.7 58.3 69.5 14.1 38.3 58.8 47.2 49.1 60.9"
    ),
}
"""DDT, table 4 (section 4.3): CorLoc on VOC 2007 of methods that also take images without the object."""

DDT_VOC_2012 = {
    "ddt": _voc(
        49.4, "76.7 67.1 57.9 30.5 13.0 81.9 48.3 75.7 18.4 48.8 27.5 71.8 66.8 73.7 6.1 18.5 38.0 54.7 78.6 34.6"
    ),
    "scda": _voc(
        34.5, "60.8 41.7 38.6 21.8 7.4 67.6 38.8 57.4 16.0 34.0 23.9 53.8 47.3 54.8 7.9 9.9 25.3 23.2 50.2 10.1"
    ),
}
"""DDT, table 3 (section 4.2): CorLoc on VOC 2012."""

_IMAGENET_CLASSES = ("chipmunk", "rhino", "stoat", "raccoon", "rake", "wheelchair")
DDT_IMAGENET = {
    "ddt": _scores(_IMAGENET_CLASSES, 69.1, 70.3, 93.2, 80.8, 71.8, 30.3, 68.2),
    "scda": _scores(_IMAGENET_CLASSES, 37.8, 32.3, 71.6, 52.9, 34.0, 7.6, 28.3),
}
"""DDT, table 5 (section 4.4): CorLoc on ImageNet subsets."""

DDT_NOISY_IMAGES = {"airplane": 18, "car": 11, "horse": 7}
"""DDT, section 4.5: images without the object, of 100 each. Of the ROC curves (figure 4) no number is printed."""

BEAM_POINT = {
    "voc12": _voc(
        79.7, "90.1 86.4 86.4 77.6 56.8 90.3 68.3 89.9 54.7 86.8 66.4 88.5 89.0 88.1 78.5 64.1 90.0 67.0 89.9 82.6"
    ),
    "coco": Scores({}, 49.2, 1),
}
"""Beam search with VGG-16, tables 1 and 2 (section 4.3): average precision of points. Birds have the number of bicycles
as it is printed; the mean is of another."""

BEAM_DETECTION = {"voc07": Scores({}, 25.7, 1), "voc12": Scores({}, 26.5, 1)}
"""Beam search with VGG-16, tables 3 and 4 (section 4.3): mean average precision of boxes."""

EISS_PEAK = 3
"""EISS, section 4.1: the IoU falls after this iteration. Of its curves (figure 4) no number is printed."""

RPC_MEASURES = ("cAcc, %", "ACD", "mCCD", "mCIoU, %", "mAP50, %", "mmAP, %")
RPC_TABLE_3 = {
    "Single": {
        "easy": (0.03, 8.12, 1.14, 2.98, 0.07, 0.01),
        "medium": (0.00, 16.10, 1.33, 1.93, 0.05, 0.01),
        "hard": (0.00, 20.05, 1.18, 0.66, 0.05, 0.01),
        "averaged": (0.01, 13.10, 1.09, 1.20, 0.06, 0.01),
    },
    "Syn": {
        "easy": (18.49, 2.58, 0.37, 69.33, 81.51, 56.39),
        "medium": (6.54, 4.33, 0.37, 68.61, 79.72, 51.75),
        "hard": (2.91, 5.94, 0.34, 70.25, 80.98, 53.11),
        "averaged": (9.27, 4.27, 0.35, 69.65, 80.66, 53.08),
    },
    "Render": {
        "easy": (63.19, 0.72, 0.11, 90.64, 96.21, 77.65),
        "medium": (43.02, 1.24, 0.11, 90.64, 95.83, 72.53),
        "hard": (31.01, 1.77, 0.10, 90.41, 95.18, 71.56),
        "averaged": (45.60, 1.25, 0.10, 90.58, 95.50, 72.76),
    },
    "Syn+Render": {
        "easy": (73.17, 0.49, 0.07, 93.66, 97.34, 79.01),
        "medium": (54.69, 0.90, 0.08, 92.95, 96.56, 73.24),
        "hard": (42.48, 1.28, 0.07, 93.06, 96.45, 72.72),
        "averaged": (56.68, 0.89, 0.07, 93.19, 96.57, 73.83),
    },
}
"""RPC, table 3, by training images and level: ``RPC_MEASURES``. An earlier manuscript prints others in all rows but
the first, with 46.79 % in place of 56.68."""

_FEW_SHOT = {
    "k-NN (FB)": (38.85, 55.58, 24.53, 40.30, 26.99, 43.40),
    "k-NN (CB)": (24.52, 41.85, 18.31, 32.37, 21.25, 39.42),
    "SVM (FB)": (34.47, 59.19, 23.37, 39.50, 25.66, 51.07),
    "SVM (CB)": (24.94, 41.93, 18.25, 30.50, 21.34, 39.43),
    "Siamese-Net (FB)": (37.38, 57.73, 23.99, 39.69, 25.81, 48.95),
    "Siamese-Net (CB)": (26.58, 43.51, 19.28, 31.49, 22.41, 40.07),
    "Global mapping (FB-)": (24.12, 34.59, 20.55, 30.93, 20.50, 30.58),
    "Global mapping (CB)": (25.42, 36.37, 20.77, 32.33, 20.24, 32.66),
    "Ours": (42.10, 62.48, 28.78, 46.92, 29.63, 52.28),
}
FEW_SHOT = {
    name: {row: numbers[place : place + 2] for row, numbers in _FEW_SHOT.items()}
    for name, place in (("cub200", 0), ("dogs", 2), ("cars", 4))
}
"""FSFG, table 2 (section 4.2): accuracy by data set and method, 1-shot and 5-shot."""

MASK_CNN_PCP = {"head": 86.76, "torso": 91.87}
"""Mask-CNN, table 2: PCP of the parts by an FCN of VGG-16."""

MASK_CNN_STREAMS = {
    ("image",): 80.5,
    ("image", "head"): 84.2,
    ("image", "torso"): 82.1,
    ("image", "head", "torso"): 85.7,
}
"""Mask-CNN, table 4: accuracy by stream, of VGG-16 with images of 448 pixels."""


class ReidTable(NamedTuple):
    """Measures and rows of a table of re-identification."""

    measures: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]


VEHICLE_ID_SIZES = (800, 1600, 2400)
"""Vehicles in VehicleID's tests."""
REID_METHODS = {
    "triplet": "triplet",
    "CCL": "ccl",
    "mixed difference + CCL": "mixed",
    "FC-HA": "fc-ha",
    "RNN-H": "rnn-h",
    "RNN-HA": "rnn-ha",
}
"""What `jaxloc reid train` calls the rows that are trained here."""
REID = {
    "veri776": ReidTable(
        ("mAP, %", "top-1, %", "top-5, %"),
        {
            "FC-HA": (47.19, 61.56, 76.88),
            "RNN-H": (48.92, 63.28, 78.82),
            "RNN-HA": (52.88, 66.03, 80.51),
            "RNN-HA, ResNet": (56.80, 74.79, 87.31),
        },
    ),
    "vehicleid": ReidTable(
        tuple(f"top-{rank} of {size:,}, %" for size in VEHICLE_ID_SIZES for rank in (1, 5)),
        {
            "triplet": (40.4, 61.7, 35.4, 54.6, 31.9, 50.3),
            "CCL": (43.6, 64.2, 37.0, 57.1, 32.9, 53.3),
            "mixed difference + CCL": (49.0, 73.5, 42.8, 66.8, 38.2, 61.6),
            "FC-HA": (56.7, 74.5, 53.6, 70.6, 48.6, 66.3),
            "RNN-H": (64.5, 78.8, 62.4, 75.9, 59.0, 74.2),
            "RNN-HA": (68.8, 81.9, 66.2, 79.6, 62.6, 77.0),
            "RNN-HA, 672 pixels": (74.9, 85.3, 71.1, 82.3, 68.0, 81.4),
            "RNN-HA, ResNet, 672 pixels": (83.8, 88.1, 81.9, 87.0, 81.1, 87.4),
        },
    ),
}
"""RNN-HA, tables 1 and 2, by data set; the first three rows of VehicleID are DRDL's. RNN-HA's text tells of 77.03 and
90.91 % on VeRi where its table has 66.03 and 80.51."""

IMAGES = {"voc07": 3550, "voc12": 7838, "object-discovery": 300, "imagenet-subsets": 771}
"""DDT: images that the authors used, as their poster says."""


DISCOVERY_TABLE_1 = {
    ("mac", "MAC"): {"instre": (48.5, 71.8), "oxford5k": (79.7, 87.4)},
    ("rmac", "uniform"): {"instre": (47.7, 70.3), "oxford5k": (77.7, 85.7)},
    ("fs-egm", "FS.EGM"): {"instre": (48.4, 71.2), "oxford5k": (77.5, 89.8)},
    ("os-egm", "OS.EGM"): {"instre": (50.1, 72.7), "oxford5k": (79.6, 90.4)},
    ("os-egm-delta", "OS.EGM-Δ"): {"instre": (53.7, 75.4), "oxford5k": (79.8, 90.1)},
}
"""Object discovery, table 1: mAP by cosine and after diffusion, by descriptor, then by data set."""
