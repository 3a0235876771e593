"""Top-1 and top-5 of networks' own classifiers, as ``net.classify`` asks them.

PHOTOS holds images and ``labels.json``, which gives the number of each image's class.

    python benchmarks/classes.py PHOTOS --weights squeezenet1_1 --weights efficientnet-lite0
"""

import argparse
import json
from pathlib import Path

import numpy as np

import jaxloc


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--weights", action="append", required=True)
    arguments = parser.parse_args()
    labels = json.loads((arguments.photos / "labels.json").read_text())
    print(f"{len(labels)} images\n\n| weights | top-1 | top-5 |\n|---|---|---|")
    for name in arguments.weights:
        found = jaxloc.load(name, top=True).classify([arguments.photos / file for file in labels])
        best = np.argsort(-found, 1)[:, :5] == np.array(list(labels.values()))[:, None]
        print(f"| {name} | {100 * best[:, 0].mean():.1f} | {100 * best.any(1).mean():.1f} |", flush=True)


if __name__ == "__main__":
    main()
