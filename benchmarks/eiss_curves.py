"""EISS's curves: mean scores of the region cropped and erased, and mean IoU with the truth, against the iteration.

TRUTH is what ``jaxloc evaluate`` takes, such as a folder with ``annotations.json`` (COCO) beside its images. ``eta`` is
0, so the search stops only where a region scores less than the image without it; later iterations repeat the last one.
Scores are shares of the whole image's; an IoU is the greatest with any box of the image. Images are warped to 375 × 500
pixels, so that one program serves all.

    python benchmarks/eiss_curves.py PHOTOS --photos 100 --windows grid:3 --best 2 --out docs/_static/eiss_curves.svg
"""

import argparse
import random
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import jaxloc
from jaxloc.data.annotations import read
from jaxloc.metrics import box_iou

WIDTH, HEIGHT = 500, 375


def main() -> None:
    """Print the curves as a table, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth")
    parser.add_argument("--weights", default="efficientnet-lite0")
    parser.add_argument("--photos", type=int, default=100, help="drawn at random (%(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=int, nargs="+", default=[1, 5], help="classes searched for together (1 5)")
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--windows", default="grid:5")
    parser.add_argument("--best", type=int, default=5)
    parser.add_argument("--out", type=Path, help="SVG file of the figure")
    given = parser.parse_args()
    known = [one for _, one in sorted(read(given.truth).images.items()) if one.annotations]
    known = random.Random(given.seed).sample(known, min(given.photos, len(known)))
    photos, truth = [], []
    for one in known:
        with Image.open(one.path if isinstance(one.path, Path) else Path(given.truth, one.name)) as image:
            scale = np.array([WIDTH / image.width, HEIGHT / image.height] * 2)
            photos.append(np.asarray(image.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)))
        truth.append(np.array([each.box for each in one.annotations]) * scale)
    net = jaxloc.load(given.weights, top=True)

    print(f"{len(photos)} photographs, {given.weights}, {given.windows}, best {given.best}\n")
    print("| classes | iteration | cropped | erased | IoU | IoU > 0.5, % |\n|---|---|---|---|---|---|")
    mpl.rcParams |= {"svg.hashsalt": "jaxloc", "svg.fonttype": "none"}
    _, (left, right) = plt.subplots(1, 2, figsize=(7.5, 2.9), layout="constrained")
    for kept, style in zip(given.kept, ("-", "--", ":"), strict=False):
        options = {"windows": given.windows, "best": given.best, "max_iterations": given.iterations, "eta": 0.0}
        found = jaxloc.localize(photos, net, method="eiss", classes_kept=kept, progress=False, **options)
        rows = np.array(
            [(*one.regions, *one.regions[-1:] * (given.iterations + 1 - len(one.regions))) for one in found]
        )
        overlap = np.array([box_iou(each[:, :4], boxes).max(1) for each, boxes in zip(rows, truth, strict=True)])
        scores = (rows[..., 4:] / rows[:, :1, 4:5]).mean(0)
        means, right_boxes = overlap.mean(0), 100 * (overlap > 0.5).mean(0)
        for t in range(given.iterations + 1):
            print(f"| {kept} | {t} | {scores[t, 0]:.3f} | {scores[t, 1]:.3f} | {means[t]:.3f} | {right_boxes[t]:.0f} |")
        left.plot(scores[:, 0], style, color="#0b7285", label=f"cropped, K = {kept}")
        left.plot(scores[:, 1], style, color="#c2410c", label=f"erased, K = {kept}")
        right.plot(means, style, color="#0b7285", label=f"K = {kept}")
    left.set(xlabel="iteration", ylabel="score, whole image 1", ylim=(0, None))
    right.set(xlabel="iteration", ylabel="mean IoU", ylim=(0, None))
    for axis in (left, right):
        axis.legend(fontsize=8, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xticks(range(given.iterations + 1))
    if given.out:
        plt.savefig(given.out, metadata={"Date": None})


if __name__ == "__main__":
    main()
