"""Whether the tools load what ``jaxloc export`` writes for them, and see the same boxes and classes.

    pip install ultralytics torchvision datasets 'jaxloc[tfds]' supervision
    python benchmarks/loaders.py

Three photographs of scikit-image, whose classes have the numbers 3 and 7, are exported in each format, and each
tool opens the export by its own loader from another working directory. A line says what it saw; a tool that is not
installed is named. The exit status is 1 if any tool saw other boxes or classes.
"""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
from PIL import Image

from jaxloc.data.annotations import Annotated, Annotation, Annotations, Polygons
from jaxloc.options import ExportOptions
from jaxloc.run import export

NUMBERS = {"cat": 3, "mug": 7}
PHOTOS = {
    "cat.jpg": ("chelsea", "cat", (10, 20, 400, 290)),
    "mugs/mug.png": ("coffee", "mug", (114, 32, 469, 367)),
    "mugs/two.jpg": ("coffee", "mug", (100, 40, 480, 360)),
}
Seen = list[tuple[str, tuple[float, ...]]]
"""The class and ``x0, y0, x1, y1`` of each object."""


def main() -> None:
    """Export, load, and print a line for each tool."""
    warnings.simplefilter("ignore")
    os.environ |= {"YOLO_VERBOSE": "False", "YOLO_OFFLINE": "true", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    with tempfile.TemporaryDirectory() as place:
        source = make(Path(place, "photos"))
        wanted = sorted((one.category, one.box) for image in source.images.values() for one in image.annotations)
        wrong = False
        for name, (format, segments, load) in TOOLS.items():
            folder = Path(place, f"{format}{'-segments' if segments else ''}")
            if not folder.exists():
                export.export(source, folder, format, ExportOptions(segments=segments))
            os.chdir("/")
            try:
                seen = sorted(load(folder))
            except ImportError as error:
                print(f"{name:<42} not installed ({error.name})")
                continue
            right = [one for one, _ in seen] == [one for one, _ in wanted] and np.allclose(
                [box for _, box in seen], [box for _, box in wanted], atol=0.51 if segments else 1e-3
            )
            wrong |= not right
            print(f"{name:<42} {'as exported' if right else f'OTHER: {seen}'}: {len(seen)} objects", flush=True)
    sys.exit(int(wrong))


def make(folder: Path) -> Annotations:
    """Photographs on disk, each with an object whose mask is an outline."""
    images = {}
    for name, (photo, category, box) in PHOTOS.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shown = Image.fromarray(getattr(skimage.data, photo)())
        shown.save(path)
        width, height = shown.size
        x0, y0, x1, y1 = map(float, box)
        mask = Polygons(height, width, ((x0, y0, x1, y0, x1, y1, x0, y1),))
        one = Annotation(category, (x0, y0, x1, y1), mask=mask)
        images[name] = Annotated(name, None, (one,), width, height, path=path)
    return Annotations(images, categories=tuple(NUMBERS), numbers=NUMBERS)


def ultralytics(task: str) -> Callable[[Path], Seen]:
    """Load by ``check_det_dataset`` and ``YOLODataset``, as training does."""

    def load(folder: Path) -> Seen:
        from ultralytics.data.dataset import YOLODataset
        from ultralytics.data.utils import check_det_dataset

        about = check_det_dataset(str(folder / "data.yaml"), autodownload=False)
        found: Seen = []
        for label in YOLODataset(img_path=about["train"], data=about, task=task, augment=False).labels:
            height, width = label["shape"]
            for number, (x, y, w, h) in zip(label["cls"].ravel(), label["bboxes"], strict=True):
                box = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height
                found.append((about["names"][int(number)], tuple(map(float, box))))
            if task == "segment" and len(label["segments"]) != len(label["cls"]):
                raise SystemExit("ultralytics: an object has no outline")
        return found

    return load


def supervision_coco(folder: Path) -> Seen:
    """Load by ``DetectionDataset.from_coco``."""
    import supervision

    opened = supervision.DetectionDataset.from_coco(str(folder / "images"), str(folder / "annotations.json"))
    return [
        (opened.classes[number], tuple(map(float, box)))
        for _, _, found in opened
        for number, box in zip(found.class_id, found.xyxy, strict=True)
    ]


def of_coco(objects: Iterable[dict[str, Any]], names: dict[int, str]) -> Seen:
    """Objects as COCO writes them."""
    return [
        (names[one["category_id"]], (x, y, x + width, y + height))
        for one in objects
        for x, y, width, height in [one["bbox"]]
    ]


def pycocotools(folder: Path) -> Seen:
    """Load by ``COCO``, which keeps the category ids of the source."""
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(None):
        opened = COCO(folder / "annotations.json")
    names = {one["id"]: one["name"] for one in opened.loadCats(opened.getCatIds())}
    if names != {number: name for name, number in NUMBERS.items()}:
        raise SystemExit(f"pycocotools: category ids are {names}")
    if not all(opened.annToMask(one).any() for one in opened.loadAnns(opened.getAnnIds())):
        raise SystemExit("pycocotools: an object has no mask")
    return of_coco(opened.loadAnns(opened.getAnnIds()), names)


def coco_detection(folder: Path) -> Seen:
    """Load by torchvision's ``CocoDetection``, which opens the images as well."""
    from torchvision.datasets import CocoDetection

    with contextlib.redirect_stdout(None):
        opened = CocoDetection(folder / "images", folder / "annotations.json")
    names = {number: name for name, number in NUMBERS.items()}
    return [found for image, objects in opened if image.size for found in of_coco(objects, names)]


def voc_detection(folder: Path) -> Seen:
    """Load by torchvision's ``VOCDetection``, which looks for a folder ``VOCdevkit/VOC2012``."""
    from torchvision.datasets import VOCDetection

    root = folder / "root" / "VOCdevkit"
    root.mkdir(parents=True)
    os.symlink(folder, root / "VOC2012")
    found: Seen = []
    for _, target in VOCDetection(folder / "root", year="2012", image_set="train"):
        for one in target["annotation"]["object"]:
            x0, y0, x1, y1 = (float(one["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax"))
            found.append((one["name"], (x0 - 1, y0 - 1, x1, y1)))
    return found


def tfds(folder: Path) -> Seen:
    """Load by ``builder_from_directory``."""
    import tensorflow_datasets

    builder = tensorflow_datasets.builder_from_directory(folder)
    names = builder.info.features["objects"]["label"].names
    return [
        (names[number], tuple(map(float, box)))
        for row in builder.as_data_source()["train"]
        for number, box in zip(row["objects"]["label"], row["objects"]["box"], strict=True)
    ]


def datasets(folder: Path) -> Seen:
    """Load by ``load_dataset``, with the classes and images that its features promise."""
    import datasets

    with tempfile.TemporaryDirectory() as cache:
        opened = datasets.load_dataset(str(folder), split="train", cache_dir=cache)
        category = opened.features["objects"]["category"]
        names = getattr(category, "feature", category).names
        found: Seen = []
        for row in opened:
            assert row["image"].size == (row["width"], row["height"])
            for number, (x, y, width, height) in zip(row["objects"]["category"], row["objects"]["bbox"], strict=True):
                found.append((names[number], (x, y, x + width, y + height)))
    return found


def masks(folder: Path) -> Seen:
    """Load as segmentation's data sets do: class numbers in a PNG."""
    names = (folder / "classes.txt").read_text().split("\n")
    found: Seen = []
    for file in (folder / "masks").rglob("*.png"):
        values = np.asarray(Image.open(file))
        rows, columns = np.nonzero(values)
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        found.append((names[values.max()], tuple(map(float, box))))
    return found


TOOLS: dict[str, tuple[str, bool, Callable[[Path], Seen]]] = {
    "yolo in Ultralytics, detect": ("yolo", False, ultralytics("detect")),
    "yolo --segments in Ultralytics, segment": ("yolo", True, ultralytics("segment")),
    "coco in pycocotools": ("coco", False, pycocotools),
    "coco in torchvision's CocoDetection": ("coco", False, coco_detection),
    "coco in supervision": ("coco", False, supervision_coco),
    "voc in torchvision's VOCDetection": ("voc", False, voc_detection),
    "tfds in tensorflow-datasets": ("tfds", False, tfds),
    "parquet in Hugging Face datasets": ("parquet", False, datasets),
    "masks in Pillow": ("masks", False, masks),
}

if __name__ == "__main__":
    main()
