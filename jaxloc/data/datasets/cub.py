"""Caltech-UCSD Birds-200-2011 (Wah et al., technical report CNS-TR-2011-001).

Boxes are written as corner and size; they are taken as they stand, without a shift.
"""

from pathlib import Path, PurePosixPath

from jaxloc.data.annotations import problems
from jaxloc.data.annotations.records import Annotated, Annotation, Keypoint, MaskFile
from jaxloc.data.datasets import prepared
from jaxloc.data.datasets.files import numbers, rows
from jaxloc.data.datasets.gathering import NO_ANNOTATION, Gathering
from jaxloc.data.datasets.records import Info

INFO = Info(
    name="cub200",
    title="Caltech-UCSD Birds-200-2011",
    holds="class, box, 15 parts as points with visibility, masks (where unpacked), split",
    size="11,788 images of 200 classes, 1.2 GB",
    licence="non-commercial research and education only",
    page="https://www.vision.caltech.edu/datasets/cub_200_2011/",
    get=(
        "curl -LO https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
        "curl -LO https://data.caltech.edu/records/w9d68-gec53/files/segmentations.tgz   # masks, optional",
        "tar xzf CUB_200_2011.tgz && tar xzf segmentations.tgz -C CUB_200_2011",
        "# or, with tensorflow installed: tfds build caltech_birds2011 --file_format=array_record",
    ),
    layout=(
        "images.txt image_class_labels.txt classes.txt bounding_boxes.txt train_test_split.txt",
        "parts/parts.txt parts/part_locs.txt",
        "images/001.Black_footed_Albatross/*.jpg",
        "segmentations/001.Black_footed_Albatross/*.png   # optional",
    ),
    splits=("train", "test"),
    tfds="caltech_birds2011",
    notes=("boxes are x, y, width, height, taken without a shift", "the copy of tensorflow-datasets has no parts"),
)


def read(into: Gathering) -> None:
    """Read the original layout."""
    root = into.find_root("images.txt", below=("CUB_200_2011",))
    classes = dict(rows(root / "classes.txt", 2))
    names = _keyed(root / "images.txt", 2, into)
    labels = _keyed(root / "image_class_labels.txt", 2, into, names)
    boxes = _keyed(root / "bounding_boxes.txt", 5, into, names)
    training = _keyed(root / "train_test_split.txt", 2, into, names)
    points = _points(root)
    masks = next((folder for folder in (root, root.parent) if (folder / "segmentations").is_dir()), None)
    for key, (name,) in names.items():
        if key not in labels or key not in boxes or key not in training:
            into.report(NO_ANNOTATION, root / "images.txt", f"{key} {name} has no class, box or split; left out")
            continue
        category = classes.get(labels[key][0])
        if category is None:
            what = f"{name} is of class {labels[key][0]}, which classes.txt does not list; left out"
            into.report(problems.UNKNOWN_CLASS, root / "image_class_labels.txt", what)
            continue
        x, y, width, height = numbers(root / "bounding_boxes.txt", boxes[key])
        one = Annotation(category, (x, y, x + width, y + height), keypoints=points.get(key, ()))
        path = root / "images" / name
        mask = MaskFile((masks / "segmentations" / name).with_suffix(".png")) if masks else None
        splits = ("train" if training[key][0] == "1" else "test",)
        image = Annotated(f"images/{name}", category, (one,), splits=splits, path=path, mask=mask)
        into.add(image, where=root / "images.txt")


def _keyed(path: Path, fields: int, into: Gathering, known: dict[str, list[str]] | None = None) -> dict[str, list[str]]:
    """A table by its first column."""
    found: dict[str, list[str]] = {}
    for key, *rest in rows(path, fields):
        if known is not None and key not in known:
            into.report(problems.NO_IMAGE, path, f"{key} is no image of images.txt; left out")
        elif key in found:
            into.report(problems.DUPLICATE, path, f"{key} is listed again; the first counts")
        else:
            found[key] = rest
    return found


def _points(root: Path) -> dict[str, tuple[Keypoint, ...]]:
    path = root / "parts" / "part_locs.txt"
    if not path.exists():
        return {}
    names = dict(rows(root / "parts" / "parts.txt", 2))
    found: dict[str, list[Keypoint]] = {}
    for key, part, *place in rows(path, 5):
        x, y, visible = numbers(path, place)
        found.setdefault(key, []).append(Keypoint(names.get(part, part), x, y, visible == 1))
    return {key: tuple(points) for key, points in found.items()}


def read_tfds(into: Gathering) -> None:
    """Read the copy in tensorflow-datasets."""
    for example in prepared.examples(into, prepared.TRAIN_TEST):
        file = PurePosixPath(example.text("image/filename"))
        category = file.parent.name
        one = Annotation(category, example.box(example.values["bbox"]))
        mask = MaskFile(example.path.of("segmentation_mask"))
        example.add(f"images/{category}/{file.name}", category, (one,), mask)
