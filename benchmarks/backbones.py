"""CorLoc of each localisation method on the layers of several networks, in one table.

DATA holds a folder of images for each class and ``annotations.json`` (COCO). Each class is one image set; a box is
right if its IoU with a true one of the class exceeds 0.5, and the mean is that of the classes.

    python benchmarks/backbones.py DATA --network vgg16 --network alexnet:relu5,relu4 --method ddt --method scda
"""

import argparse
from pathlib import Path

import numpy as np

import jaxloc
from jaxloc.data.annotations import read_coco
from jaxloc.localizers import METHODS
from jaxloc.metrics import box_iou


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--network", action="append", required=True, help="NAME, or NAME:LAYER,LAYER")
    parser.add_argument("--method", action="append", choices=METHODS, help="all by default")
    parser.add_argument("--max-side", type=int, default=800, help="of images (%(default)s)")
    parser.add_argument("--limit", type=int, help="images of each class")
    arguments = parser.parse_args()
    truth = read_coco(arguments.data / "annotations.json")
    classes: dict[str, list[str]] = {}
    for name in sorted(truth):
        for category in truth[name].boxes:
            classes.setdefault(category, []).append(name)
    classes = {category: names[: arguments.limit] for category, names in sorted(classes.items())}
    print("| network | layer | method | " + " | ".join(classes) + " | mean |")
    print("|---" * (len(classes) + 4) + "|")
    for network in arguments.network:
        weights, _, layers = network.partition(":")
        net = jaxloc.load(weights)
        for layer in layers.split(",") if layers else [net.weights.backbone.defaults.localization]:
            for method in arguments.method or METHODS:
                shares = []
                for category, names in classes.items():
                    paths = [arguments.data / name for name in names]
                    options = {"method": method, "layer": layer, "max_side": arguments.max_side}
                    found = jaxloc.colocalize(paths, net, **options)
                    right = [
                        one.box is not None
                        and box_iou(one.box, [box[:4] for box in truth[name].boxes[category]]).max() > 0.5
                        for one, name in zip(found, names, strict=True)
                    ]
                    shares.append(100 * np.mean(right))
                cells = " | ".join(f"{share:.1f}" for share in (*shares, np.mean(shares)))
                print(f"| {weights} | {layer} | {method} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
