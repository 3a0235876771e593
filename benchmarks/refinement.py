"""DDT's boxes as they are and after each refinement: CorLoc, mean IoU and seconds per image, in one table.

DATA holds a folder of images for each class and ``annotations.json`` (COCO). DDT runs once for each class; every
refiner then works on the same response maps, and its box is that of its mask. The options of the refiners were chosen
on the classes named by --chosen-on; means are printed for these, for the others, and for all.

    python benchmarks/refinement.py DATA
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jaxloc import components, run
from jaxloc.data.annotations import Annotated, read_coco
from jaxloc.data.images import read_image
from jaxloc.metrics import box_iou
from jaxloc.refiners import REFINEMENTS
from jaxloc.report.records import Finding
from jaxloc.run.refining import Refiner, whole_cells

METHODS = ("none", *REFINEMENTS)


def overlap(box: Sequence[float] | None, finding: Finding, truth: dict[str, Annotated]) -> float:
    """IoU of a box with the best one of the image's class; 0 where nothing was found."""
    if box is None:
        return 0.0
    return float(box_iou(box, [one[:4] for one in truth[finding.name].boxes[finding.category]]).max())


def measure(
    method: str, findings: Sequence[Finding], truth: dict[str, Annotated], side: int
) -> tuple[dict[str, list[float]], float]:
    """The IoU of each class's images, and the median of seconds for an image."""
    refiner = None if method == "none" else Refiner(method, side=side)
    overlaps: dict[str, list[float]] = {}
    seconds = []
    for finding in findings:
        pixels = read_image(finding.path).pixels
        began = time.perf_counter()
        cells = components.largest_stack((finding.heat > 0)[None], 8)[0]
        if refiner is None:
            refined = whole_cells(cells, pixels.shape[:2])
        else:
            refined = refiner.refine(pixels, finding.heat, 0.0, finding.box, cells)
        seconds.append(time.perf_counter() - began)
        overlaps.setdefault(finding.category, []).append(overlap(refined.box, finding, truth))
    return overlaps, float(np.median(seconds))


def main() -> None:
    """Run DDT, then the refiners, and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--max-side", type=int, default=800, help="of the network's images (%(default)s)")
    parser.add_argument("--side", type=int, default=320, help="at which images are refined (%(default)s)")
    parser.add_argument("--chosen-on", nargs="*", default=["aeroplane", "bus", "horse"])
    parser.add_argument("--out", help="keep DDT's results there, and use them again")
    arguments = parser.parse_args()
    truth = read_coco(arguments.data / "annotations.json")
    with tempfile.TemporaryDirectory() as temporary:
        options = run.Options(max_side=arguments.max_side, report_limit=10**6)  # response maps are kept with the report
        done = run.colocalize([arguments.data], arguments.out or temporary, options, per_folder=True)
        findings = [finding for finding in done.images if truth[finding.name].boxes]
    results = {method: measure(method, findings, truth, arguments.side) for method in METHODS}

    classes = sorted({finding.category for finding in findings})
    groups = {name: [name] for name in classes}
    groups["**chosen on**"] = [name for name in classes if name in arguments.chosen_on]
    groups["**others**"] = [name for name in classes if name not in arguments.chosen_on]
    groups["**all**"] = classes
    print("| CorLoc / mean IoU, % | " + " | ".join(METHODS) + " |")
    print("|---" * (len(METHODS) + 1) + "|")
    for label, names in groups.items():
        cells = []
        for overlaps, _ in results.values():
            found = [np.array(overlaps[name]) for name in names]
            corloc, iou = (
                np.mean([100 * np.mean(part) for part in kind]) for kind in ([f > 0.5 for f in found], found)
            )
            cells.append(f"{corloc:.1f} / {iou:.1f}")
        print(f"| {label} | " + " | ".join(cells) + " |")
    print("| seconds an image | " + " | ".join(f"{seconds:.3f}" for _, seconds in results.values()) + " |")


if __name__ == "__main__":
    main()
