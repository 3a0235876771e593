"""CorLoc of one COCO file against another with nothing but NumPy: ``python corloc_script.py PREDICTIONS TRUTH``."""

import json
import sys
from pathlib import Path

import numpy as np


def overlap(a, b, extra):
    both = np.prod((np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + extra).clip(0))
    return both / (np.prod(a[2:] - a[:2] + extra) + np.prod(b[2:] - b[:2] + extra) - both)


def objects(coco, image, ignored=()):
    names = {category["id"]: category["name"] for category in coco["categories"]}
    for one in coco["annotations"]:
        if one["image_id"] == image["id"] and not any(one.get(flag) for flag in ignored):
            x, y, width, height = one["bbox"]
            size = [image["width"], image["height"]] * 2
            yield names[one["category_id"]], one.get("score", 1), np.clip([x, y, x + width, y + height], 0, size)


def corloc(said, true, iou, at_least, inclusive, ignored, splits, draws, seed):
    names = {category["id"]: category["name"] for category in true["categories"]}
    guesses = {image["file_name"]: list(objects(said, image)) for image in said["images"]}
    right = {}
    for image in true["images"]:
        truth = list(objects(true, image, (*ignored, "iscrowd")))
        own = [names[image["category_id"]]] if "category_id" in image else {name for name, _, _ in truth}
        for name in own:
            boxes = [box for of, _, box in truth if of == name]
            found = [(score, box) for of, score, box in guesses.get(image["file_name"], ()) if of == name]
            best = max(found, key=lambda one: one[0], default=None)
            ious = [overlap(best[1], box, inclusive) for box in boxes] if best else []
            if boxes and (not splits or image["split"] in splits):
                right.setdefault(name, []).append(any(one >= iou if at_least else one > iou for one in ious))
    right = {name: np.array(right[name]) for name in sorted(right)}
    drawn = []
    for number, of_class in enumerate(right.values()):
        rng = np.random.default_rng([seed, number])
        drawn.append([100 * of_class[rng.integers(len(of_class), size=len(of_class))].mean() for _ in range(draws)])
    shares = {name: 100 * of_class.mean() for name, of_class in right.items()}
    interval = np.quantile(np.mean(drawn, 0), [(1 - 0.95) / 2, (1 + 0.95) / 2]).tolist() if draws else None
    return shares, np.mean(list(shares.values())), 100 * np.concatenate(list(right.values())).mean(), interval


if __name__ == "__main__":
    files = (json.loads(Path(path).read_text()) for path in sys.argv[1:3])
    print(*corloc(*files, 0.5, False, False, ("difficult", "truncated"), (), 1000, 0), sep="\n")
