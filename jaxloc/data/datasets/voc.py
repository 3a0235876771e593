"""PASCAL VOC 2007 and 2012 (Everingham et al., IJCV 2010 and 2015).

The files count pixels from 1 and include both ends of a box; here boxes are half-open from 0. In ``SegmentationObject``
an object's number is its place in the XML file; 255 is void.
"""

import dataclasses
from pathlib import Path

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotation, MaskFile
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.files import lines, read_xml
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info

CLASSES = [
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
]  # fmt: skip
"""Classes of both years."""

_VOID = 255


def _info(year: int, size: str, get: tuple[str, ...]) -> Info:
    return Info(
        name=f"voc{year % 100:02}",
        title=f"PASCAL VOC {year}",
        holds="boxes of 20 classes with flags (difficult, truncated), masks of objects for some images, split",
        size=size,
        licence="Flickr images: Flickr's terms of use; made for research",
        page=f"http://host.robots.ox.ac.uk/pascal/VOC/voc{year}/",
        get=(*get, f"# or, with tensorflow installed: tfds build voc/{year} --file_format=array_record"),
        layout=(
            f"VOC{year}/ImageSets/Main/{{train,val,trainval,test}}.txt",
            f"VOC{year}/JPEGImages/*.jpg",
            f"VOC{year}/Annotations/*.xml",
            f"VOC{year}/SegmentationObject/*.png   # optional",
        ),
        splits=("train", "val", "trainval", "test"),
        tfds=f"voc/{year}",
        notes=(
            "boxes count pixels from 1 in the files and are half-open from 0 here",
            "a class's set holds the images with an object of it that is neither difficult nor truncated (DDT)",
            "the copy of tensorflow-datasets has no masks",
        ),
    )


_SITE = "http://host.robots.ox.ac.uk/pascal/VOC"
INFOS = (
    _info(
        2007,
        "9,963 images of 20 classes, 0.9 GB",
        (
            f"curl -LO {_SITE}/voc2007/VOCtrainval_06-Nov-2007.tar",
            f"curl -LO {_SITE}/voc2007/VOCtest_06-Nov-2007.tar",
            "tar xf VOCtrainval_06-Nov-2007.tar && tar xf VOCtest_06-Nov-2007.tar",
        ),
    ),
    _info(
        2012,
        "11,540 images of 20 classes with boxes, 2 GB",
        (f"curl -LO {_SITE}/voc2012/VOCtrainval_11-May-2012.tar", "tar xf VOCtrainval_11-May-2012.tar"),
    ),
)


def read(into: Gathering) -> None:
    """Read the original layout."""
    year = into.info.title[-4:]
    root = into.find_root("ImageSets/Main", below=(f"VOC{year}", f"VOCdevkit/VOC{year}"))
    if root.name != f"VOC{year}" and root.name.startswith("VOC20"):
        raise into.error(f"is {root.name} and not VOC{year}")
    splits: dict[str, list[str]] = {}
    for split in into.info.splits:
        path = root / "ImageSets" / "Main" / f"{split}.txt"
        for key in lines(path) if path.exists() else ():
            splits.setdefault(key, []).append(split)
    for key in sorted(splits):
        if into.wants(splits[key]):
            _add(into, root, key, tuple(splits[key]))


def _add(into: Gathering, root: Path, key: str, splits: tuple[str, ...]) -> None:
    path = root / "Annotations" / f"{key}.xml"
    before = len(into.problems)
    described = read_xml(into, path, first_pixel=1)
    if described is None:
        return
    masks = root / "SegmentationObject" / f"{key}.png"
    # An object that was left out has a number too, and those after it cannot be told apart any more.
    masked = len(into.problems) == before and masks.exists()
    annotations = []
    for number, one in enumerate(described.annotations, 1):
        if one.category not in CLASSES:
            into.report(problems.UNKNOWN_CLASS, path, f"object {number} is of class {one.category!r}; left out")
            continue
        mask = MaskFile(masks, (number,), (_VOID,)) if masked else None
        annotations.append(dataclasses.replace(one, mask=mask))
    name = f"JPEGImages/{key}.jpg"
    image = dataclasses.replace(described, name=name, annotations=tuple(annotations), splits=splits, path=root / name)
    into.add(image, where=path)


def read_tfds(into: Gathering) -> None:
    """Read the copy in tensorflow-datasets."""
    for example in prepared.examples(into, prepared.TRAIN_VAL_TEST):
        annotations = [
            Annotation(
                CLASSES[int(one["label"])],
                example.box(one["bbox"], first_pixel=1),
                difficult=bool(one["is_difficult"]),
                truncated=bool(one["is_truncated"]),
            )
            for one in prepared.objects(example.values)
        ]
        example.add(f"JPEGImages/{example.text('image/filename')}", None, annotations)
