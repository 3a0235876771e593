"""Oxford-IIIT Pet (Parkhi et al., CVPR 2012).

Trimaps hold 1 for the animal, 2 for background and 3 for the border that nobody decided on. The box of an animal is the
tight box around its 1s: the boxes that are published are those of heads, in PASCAL's form.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from jaxloc.data.annotations.records import Annotated, Annotation, Box, MaskFile
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.files import read_boxes, read_xml, rows
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info
from jaxloc.data.sources import Record

_SITE = "https://thor.robots.ox.ac.uk/~vgg/data/pets"

INFO = Info(
    name="pets",
    title="Oxford-IIIT Pet",
    holds="class, masks with an undecided border, boxes of heads (trainval) as a part, split",
    size="7,349 images of 37 classes, 0.8 GB",
    licence="CC BY-SA 4.0",
    page="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    get=(
        f"for f in images annotations; do curl -L {_SITE}/$f.tar.gz | tar xz; done",
        "# or, with tensorflow installed: tfds build oxford_iiit_pet --file_format=array_record",
    ),
    layout=(
        "annotations/trainval.txt annotations/test.txt",
        "images/Abyssinian_1.jpg",
        "annotations/trimaps/Abyssinian_1.png",
        "annotations/xmls/Abyssinian_1.xml   # heads, of trainval alone",
    ),
    splits=("trainval", "test"),
    tfds="oxford_iiit_pet",
    notes=("an animal's box is the tight box of its mask; the border of the trimap is unknown, not object",),
)


def read(into: Gathering) -> None:
    """Read the original layout."""
    root = into.find_root("annotations/trainval.txt", below=("oxford-iiit-pet",))
    notes = root / "annotations"
    pets = []
    for split in INFO.splits:
        where = notes / f"{split}.txt"
        for key, _ in rows(where, 2) if into.wants([split]) else ():
            image = _pet(key, split, root / "images" / f"{key}.jpg", notes / "trimaps" / f"{key}.png")
            pets.append((image, _head(into, notes / "xmls" / f"{key}.xml"), where))
    _add(into, pets)


def read_tfds(into: Gathering) -> None:
    """Read the copy in tensorflow-datasets."""
    pets = []
    for example in prepared.examples(into, {"train": ("trainval",), "test": ("test",)}):
        key = example.text("file_name").removesuffix(".jpg")
        relative = example.values["head_bbox"]
        head = example.box(relative, first_pixel=1) if max(relative) > 0 else None
        image = _pet(key, example.splits[0], example.path, example.path.of("segmentation_mask"))
        pets.append((image, head, example.path))
    _add(into, pets)


def _pet(key: str, split: str, path: Path | Record, trimap: Path | Record) -> Annotated:
    mask = MaskFile(trimap, inside=(1,), unknown=(3,))
    return Annotated(f"images/{key}.jpg", key.rpartition("_")[0], splits=(split,), path=path, mask=mask)


def _head(into: Gathering, path: Path) -> Box | None:
    """Box of the head; only some images have one."""
    described = read_xml(into, path, first_pixel=1) if path.is_file() else None
    return described.annotations[0].box if described and described.annotations else None


def _add(into: Gathering, pets: Sequence[tuple[Annotated, Box | None, object]]) -> None:
    """Add the animals, each with the tight box of its mask and its head; one without a usable mask has no box."""
    masks = {image.name: image.mask for image, _, _ in pets if isinstance(image.mask, MaskFile)}
    there = {name: mask for name, mask in masks.items() if isinstance(mask.path, Record) or mask.path.is_file()}
    boxes = read_boxes(into, there)
    for image, head, where in pets:
        box = boxes.get(image.name)
        parts = () if head is None else (("head", head),)
        annotations = () if box is None else (Annotation(image.category or "", box, parts=parts),)
        into.add(dataclasses.replace(image, annotations=annotations), where=where)
