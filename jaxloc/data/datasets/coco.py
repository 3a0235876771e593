"""COCO (Lin et al., ECCV 2014): the files ``instances_*.json`` and the folders of images beside them."""

import dataclasses
from pathlib import Path

from jaxloc.data.annotations.coco import read_coco_file
from jaxloc.data.annotations.records import Annotated, Annotation
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.adapter import Adapter, finish
from jaxloc.data.datasets.files import find_root
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Dataset, Info
from jaxloc.errors import UsageError

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
    papers=("beam search on feature maps: point localisation",),
    tfds="coco/2017",
    notes=("the copy of tensorflow-datasets has no masks, and is read without tensorflow once it is prepared",),
)


def read(into: Gathering) -> Dataset:
    """Read the original layout; only the files of the splits wanted are parsed."""
    root = find_root(INFO.name, into.root, "annotations", below=("coco",))
    files = sorted((root / "annotations").glob(f"{_PREFIX}*.json"))
    if not files:
        raise UsageError(f"{INFO.name}:{into.root}: annotations holds no {_PREFIX}*.json: unpack the annotations there")
    for file in files:
        split = file.stem.removeprefix(_PREFIX)
        if into.wants([split]):
            _add(into, root, file, split)
    return finish(INFO, into, root.as_posix())


def _add(into: Gathering, root: Path, file: Path, split: str) -> None:
    found = read_coco_file(file)
    into.problems += found.problems
    for name, image in found.images.items():
        place = f"{split}/{name}"
        into.add(dataclasses.replace(image, name=place, splits=(split,), path=root / place), where=file)


def read_tfds(into: Gathering) -> Dataset:
    """Read the copy of tensorflow-datasets."""
    classes: list[str] = []
    splits = {"train": ("train2017",), "validation": ("val2017",)}
    for example in prepared.examples("coco/2017", into, splits):
        classes = classes or prepared.class_names("coco/2017", "objects", "label")
        annotations = tuple(
            Annotation(classes[int(one["label"])], example.box(one["bbox"]), crowd=bool(one["is_crowd"]))
            for one in prepared.objects(example.values)
        )
        name = f"{example.splits[0]}/{prepared.text(example.values['image/filename'])}"
        image = Annotated(name, annotations=annotations, splits=example.splits, path=example.path)
        into.add(image, where=example.path, size=example.size)
    return finish(INFO, into, "tfds://coco/2017")


ADAPTER = Adapter(INFO, read, read_tfds)
