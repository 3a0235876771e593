"""Small data sets in the true layouts whose truth is set to what a small network finds, so that figures are known."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxloc.options import ReproduceOptions
from jaxloc.run.reproduce import Reproduction, reproduce
from tests.data.datasets import trees

SIZE = (96, 128)
"""Rows and columns of every image: six by eight cells."""
NOWHERE = (120, 90, 124, 94)
"""A box that nothing finds."""


def options(weights: Path, **values: Any) -> ReproduceOptions:
    return ReproduceOptions(**({"weights": str(weights), "samples": 0, "workers": 1} | values))


def found(folder: Path) -> dict[str, dict[str, tuple[int, int, int, int]]]:
    """By class and image, the box that a job wrote, read from its file without jaxloc."""
    coco = json.loads((folder / "annotations.json").read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    classes = {category["id"]: category["name"] for category in coco["categories"]}
    boxes: dict[str, dict[str, tuple[int, int, int, int]]] = {name: {} for name in classes.values()}
    for entry in coco["annotations"]:
        x, y, width, height = map(int, entry["bbox"])
        boxes[classes[entry["category_id"]]][names[entry["image_id"]]] = (x, y, x + width, y + height)
    return boxes


def voc(folder: Path, weights: Path, *, year: int = 2007) -> Path:
    """PASCAL VOC, in which the first bicycle and both horses are found, and no aeroplane.

    The images of trainval are 0 to 5 and, with difficult objects only, 9 to 11. Image 0 holds an aeroplane and a
    bicycle; images 1 and 4 a bicycle, of which image 1's is found.
    """
    folder.mkdir(parents=True)
    root = trees.voc(folder, year=year, size=SIZE, masks=False)
    reproduce(f"ddt-voc{year % 100:02}", root, folder / "first", options(weights))
    boxes = found(folder / "first" / "ddt")
    xml = root / f"VOC{year}" / "Annotations"
    trees.voc_xml(xml / "000000.xml", [("aeroplane", NOWHERE, ""), ("bicycle", NOWHERE, "")], SIZE)
    trees.voc_xml(xml / "000003.xml", [("aeroplane", NOWHERE, "")], SIZE)
    trees.voc_xml(xml / "000001.xml", [("bicycle", boxes["bicycle"]["JPEGImages/000001.jpg"], "")], SIZE)
    trees.voc_xml(
        xml / "000004.xml",
        [("bicycle", NOWHERE, ""), ("bicycle", boxes["bicycle"]["JPEGImages/000004.jpg"], "truncated")],
        SIZE,
    )
    for number in (2, 5):
        name = f"{number:06}"
        trees.voc_xml(xml / f"{name}.xml", [("horse", boxes["horse"][f"JPEGImages/{name}.jpg"], "")], SIZE)
    return root


def ours(result: Reproduction, measure: str) -> dict[str, float]:
    """Our numbers by label."""
    return {row.label: row.ours for row in result.rows if row.measure == measure}


def images(result: Reproduction, measure: str) -> dict[str, int]:
    """How many images each number is of."""
    return {row.label: row.images for row in result.rows if row.measure == measure}


def write_coco(path: Path, images: Sequence[tuple[str, str, tuple[float, float, float, float]]]) -> Path:
    """A COCO file beside images: file name, class and box of each."""
    classes = sorted({category for _, category, _ in images})
    listed, entries = [], []
    for number, (name, category, (x0, y0, x1, y1)) in enumerate(images, 1):
        label = classes.index(category) + 1
        listed.append({"id": number, "file_name": name, "width": SIZE[1], "height": SIZE[0], "category_id": label})
        box = [x0, y0, x1 - x0, y1 - y0]
        entries.append({"id": number, "image_id": number, "category_id": label, "bbox": box, "iscrowd": 0})
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    path.write_text(json.dumps({"images": listed, "annotations": entries, "categories": categories}))
    return path
