"""ImageNet in folders of synsets, and the XML files of boxes where unpacked (Russakovsky et al., IJCV 2015).

There may be a million images: they are listed, and their boxes are read on access.
"""

import dataclasses
from pathlib import Path

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated
from jaxloc.data.archives.tfds import TfdsSplit, find_builder
from jaxloc.data.datasets.files import folders, images, of_category, read_xml
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.data.datasets.records import Info, LazyImages
from jaxloc.data.sources import Files, Labels
from jaxloc.errors import UsageError

_SPLITS = ("train", "val")
_TFDS_SPLITS = {"train": "train", "val": "validation"}
_BOXES = ("Annotations/CLS-LOC", "Annotations", "Annotation", "bbox")

INFO = Info(
    name="imagenet",
    title="ImageNet, in folders of synsets",
    holds="class (synset), boxes where their XML files are unpacked, split",
    size="1,281,167 images to train with and 50,000 to validate with, of 1,000 classes, 150 GB",
    licence="ImageNet's terms: non-commercial research and education",
    page="https://image-net.org/download.php",
    get=(
        "# with an account at image-net.org, or: kaggle competitions download imagenet-object-localization-challenge",
        "# images to validate with have to be sorted into folders of synsets",
        "# or, with tensorflow installed: tfds build imagenet2012 --file_format=array_record",
    ),
    layout=(
        "train/n01440764/*.JPEG val/n01440764/*.JPEG   # here or in Data/CLS-LOC",
        "Annotations/CLS-LOC/train/n01440764/*.xml   # optional; also Annotation/n01440764, bbox/n01440764",
        "Annotations/CLS-LOC/val/*.xml   # optional",
    ),
    splits=_SPLITS,
    tfds="imagenet2012",
    notes=(
        "boxes are ImageNet's corners, taken without a shift; they are read when an image is asked for",
        "the copy of tensorflow-datasets has no boxes, and its images are named by their numbers",
    ),
)


def read(into: Gathering) -> None:
    """List the folders; annotations are read later."""
    marker = "val" if into.wanted == ("val",) else "train"
    root = into.find_root(marker, below=("Data/CLS-LOC", "ILSVRC/Data/CLS-LOC", "imagenet"))
    names: list[str] = []
    for split in _SPLITS:
        synsets = folders(root / split)
        if not synsets and images(root / split):
            raise UsageError(
                f"{root / split}: holds images and no folders of synsets: sort them into a folder for each class"
            )
        if synsets and into.wants([split]):
            names += [f"{split}/{synset}/{file}" for synset in synsets for file in images(root / split / synset)]
    names.sort()
    part = Files(root.as_posix(), names, Labels(name.split("/")[1] for name in names))
    top = next(
        (folder for folder in (root, root.parent.parent) if any((folder / one).is_dir() for one in _BOXES)), root
    )
    into.images = LazyImages(part, lambda number: _read(into, part, number, top))


def _read(into: Gathering, part: Files, number: int, top: Path) -> Annotated:
    """One image with its boxes."""
    name, path = part.name(number), part.path(number)
    split, synset, file = name.split("/")
    plain = Annotated(name, synset, splits=(split,), path=path)
    places = (top / one / below for one in _BOXES for below in (f"{split}/{synset}", synset, split))
    xml = next((place for folder in places if (place := folder / f"{Path(file).stem}.xml").is_file()), None)
    described = read_xml(into, xml, first_pixel=0) if xml else None
    if described is None:
        return plain
    told = {one.category for one in described.annotations} - {synset}
    if told:
        what = f"{name} has boxes of {', '.join(sorted(told))}; left out"
        into.report(problems.UNKNOWN_CLASS, xml, what)
    own = tuple(one for one in described.annotations if one.category == synset)
    image = dataclasses.replace(described, annotations=own)
    return into.checked(of_category(image, synset, name=name, splits=(split,), path=path), where=xml) or plain


class _TfdsPart(TfdsSplit):
    """A split whose images are named by split and number."""

    def __init__(self, ours: str, theirs: str) -> None:
        super().__init__("imagenet2012", theirs)
        self._ours = ours

    def name(self, number: int) -> str:
        """Split and number."""
        return f"{self._ours}/{super().name(number)}"


def read_tfds(into: Gathering) -> None:
    """Open one split of the copy in tensorflow-datasets; only its size is read."""
    there = [ours for ours, theirs in _TFDS_SPLITS.items() if theirs in find_builder("imagenet2012").info.splits]
    wanted = [ours for ours in there if into.wants([ours])]
    into.check_splits()
    if len(wanted) != 1:
        raise UsageError(f"{INFO.name}:tfds: open one split at a time, such as {INFO.name}/val:tfds")
    [ours] = wanted
    part = _TfdsPart(ours, _TFDS_SPLITS[ours])

    def read_one(number: int) -> Annotated:
        path = part.path(number)
        label = int(path.value("label"))
        synset = find_builder("imagenet2012").info.features["label"].int2str(label)
        return Annotated(part.name(number), synset, splits=(ours,), path=path)

    into.place, into.images = part.place, LazyImages(part, read_one)
