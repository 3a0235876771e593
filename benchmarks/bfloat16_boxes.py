"""How far DDT's boxes move when the network computes in bfloat16: CorLoc, and boxes unlike those of float32.

DATA holds a folder of images for each class and ``annotations.json`` (COCO); each class is an image set. CorLoc is the
mean over classes. A processor without instructions for bfloat16 emulates it: slower, with the same roundings
except for the order of sums.

    python benchmarks/bfloat16_boxes.py DATA [--engine openvino] [--max-side PIXELS]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from jaxloc import run
from jaxloc.data.annotations import read_coco
from jaxloc.metrics import box_iou
from jaxloc.report.records import Finding


def find(data: Path, method: str, max_side: int, **network: str) -> dict[str, Finding]:
    """Findings by image name."""
    with tempfile.TemporaryDirectory() as out:
        options = run.Options(method=method, max_side=max_side, report_limit=0, **network)
        return {one.name: one for one in run.colocalize([data], out, options, per_folder=True).images}


def main() -> None:
    """Run both methods in both types and print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--engine", default="openvino", help="that computes in bfloat16 (%(default)s)")
    parser.add_argument("--max-side", type=int, default=800)
    parser.add_argument("--methods", nargs="+", default=["ddt", "ddt+"])
    arguments = parser.parse_args()
    truth = read_coco(arguments.data / "annotations.json")

    def corloc(found: dict[str, Finding]) -> float:
        right: dict[str, list[bool]] = {}
        for name, one in found.items():
            if boxes := [box[:4] for box in truth[name].boxes[one.category]]:
                right.setdefault(one.category, []).append(one.box is not None and box_iou(one.box, boxes).max() > 0.5)
        return 100 * float(np.mean([np.mean(each) for each in right.values()]))

    print("| method | CorLoc, float32 | bfloat16 | boxes that differ | IoU of those, lowest and median |")
    print("|---|---|---|---|---|")
    for method in arguments.methods:
        exact = find(arguments.data, method, arguments.max_side)
        rounded = find(arguments.data, method, arguments.max_side, engine=arguments.engine, dtype="bfloat16")
        pairs = [(exact[name].box, one.box) for name, one in rounded.items() if exact[name].box != one.box]
        overlaps = [0.0 if None in pair else float(box_iou(*pair).max()) for pair in pairs] or [1.0]
        shown = f"{len(pairs)} of {len(exact)} | {min(overlaps):.2f}, {np.median(overlaps):.2f}"
        print(f"| {method} | {corloc(exact):.2f} | {corloc(rounded):.2f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
