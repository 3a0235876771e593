"""Boxes of methods that ask a classifier, no label given: CorLoc and seconds an image, in one table.

DATA holds a folder of images for each class and ``annotations.json`` (COCO). A box is right if its IoU with any box of
its image is at least 0.5. Times are of this machine, the second time over the same images, so without compilation.

    python benchmarks/classifier_search.py DATA --every 6
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import jaxloc
from jaxloc.data.annotations import read_coco
from jaxloc.metrics import box_iou

METHODS = {
    "scda, vgg16": ("vgg16", {"method": "scda"}),
    "cam": ("", {"method": "cam"}),
    "cam, threshold 0.3": ("", {"method": "cam", "heat_threshold": 0.3}),
    "eiss, grid 5": ("", {"method": "eiss", "windows": "grid:5"}),
    "eiss, random 16": ("", {"method": "eiss", "windows": "random:16"}),
    "beam 8 × 10": ("", {"method": "beam"}),
}


def middle(share: float) -> Callable[[tuple[int, int]], tuple[float, ...]]:
    """A box in the middle of an image, of a share of its sides."""
    return lambda size: tuple(side * (1 + sign * share) / 2 for sign in (-1, 1) for side in reversed(size))


def corloc(boxes: Sequence[tuple[float, ...] | None], truth: Sequence[np.ndarray]) -> float:
    """Percentage of boxes that meet one of their image's."""
    right = [box is not None and box_iou(box, true).max() >= 0.5 for box, true in zip(boxes, truth, strict=True)]
    return 100 * float(np.mean(right))


def main() -> None:
    """Run each method twice, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--weights", default="efficientnet-lite0", help="whose classifier is asked (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="take every N-th image (%(default)s)")
    parser.add_argument("--only", nargs="*", choices=METHODS, default=list(METHODS))
    given = parser.parse_args()
    annotated = read_coco(given.data / "annotations.json")
    names = sorted(annotated)[:: given.every]
    truth = [np.array([box[:4] for boxes in annotated[name].boxes.values() for box in boxes]) for name in names]
    paths = [given.data / name for name in names]

    print(f"{len(names)} images, {given.weights}\n")
    print("| method | CorLoc | seconds an image |\n|---|---|---|")
    sizes = [Image.open(path).size[::-1] for path in paths]
    for name, share in (("whole image", 1.0), ("middle box, 0.8 of the sides", 0.8)):
        print(f"| {name} | {corloc([middle(share)(size) for size in sizes], truth):.1f} | |")
    for name in given.only:
        weights, options = METHODS[name]
        net = jaxloc.load(weights or given.weights, top=not weights)
        for _ in range(2):
            began = time.perf_counter()
            found = jaxloc.localize(paths, net, progress=False, **options)
            seconds = (time.perf_counter() - began) / len(paths)
        print(f"| {name} | {corloc([one.box for one in found], truth):.1f} | {seconds:.2f} |", flush=True)


if __name__ == "__main__":
    main()
