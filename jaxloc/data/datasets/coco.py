"""COCO (Lin et al., ECCV 2014): the files ``instances_*.json`` and the folders of images beside them."""

import dataclasses

from jaxloc.data.annotations.coco import read_coco_file
from jaxloc.data.annotations.records import Annotation
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info

_PREFIX = "instances_"

INFO = Info(
    name="coco",
    title="COCO",
    holds="boxes of 80 classes, masks, crowds marked, split",
    size="2017: 118,287 images to train with and 5,000 to validate with, 19 GB",
    licence="annotations CC BY 4.0; Flickr images: Flickr's terms of use",
    page="https://cocodataset.org/#download",
    get=(
        "curl -LO http://images.cocodataset.org/zips/val2017.zip && unzip -q val2017.zip   # or train2017, train2014 …",
        "curl -LO http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
        "unzip -q annotations_trainval2017.zip",
        "# or, with tensorflow installed: tfds build coco/2017 --file_format=array_record",
    ),
    layout=("annotations/instances_val2017.json", "val2017/000000000139.jpg"),
    splits=("train2017", "val2017", "train2014", "val2014"),
    tfds="coco/2017",
    notes=("the copy of tensorflow-datasets has no masks, and is read without tensorflow once it is prepared",),
)


def read(into: Gathering) -> None:
    """Read the original layout; only the files of the wanted splits are parsed."""
    root = into.find_root("annotations", below=("coco",))
    files = sorted((root / "annotations").glob(f"{_PREFIX}*.json"))
    if not files:
        raise into.error(f"annotations holds no {_PREFIX}*.json: unpack the annotations there")
    for file in files:
        split = file.stem.removeprefix(_PREFIX)
        if into.wants([split]):
            found = read_coco_file(file)
            into.problems += found.problems
            for name, image in found.images.items():
                place = f"{split}/{name}"
                into.add(dataclasses.replace(image, name=place, splits=(split,), path=root / place), where=file)


def read_tfds(into: Gathering) -> None:
    """Read the copy in tensorflow-datasets."""
    classes: list[str] = []
    for example in prepared.examples(into, {"train": ("train2017",), "validation": ("val2017",)}):
        classes = classes or prepared.class_names("coco/2017", "objects", "label")
        annotations = [
            Annotation(classes[int(one["label"])], example.box(one["bbox"]), crowd=bool(one["is_crowd"]))
            for one in prepared.objects(example.values)
        ]
        example.add(f"{example.splits[0]}/{example.text('image/filename')}", None, annotations)
